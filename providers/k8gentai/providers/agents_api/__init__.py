"""The classic Agents API of Llama Stack (agents, sessions, turns, steps), as llama-stack 0.2 and 0.3 served it.

One more way to ask for, and to look at, the turns of :mod:`k8gentai.providers.responses_api.service`: a session
is a conversation, a turn is a response, or as many as the client's tools made of it. The shapes are those of
llama-stack-client 0.2.23 (``/v1``) and 0.3.5 (``/v1alpha``).
"""
