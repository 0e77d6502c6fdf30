"""The conformance suite (:mod:`k8gentai.stack.conformance`), run with every framework there is an adapter for.

What a framework brings is under ``agents/<framework>/``. Files beside this one test what only one framework has.
"""
