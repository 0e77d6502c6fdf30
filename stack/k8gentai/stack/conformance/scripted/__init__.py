"""A scripted OpenAI-compatible model server: the only double of the tests, at the network's edge.

A test registers what the model answers under a key and writes ``[[key]]`` into its prompt, so tests that run
side by side never take each other's answers::

    model.script("k1", Answer(Call("add", {"a": 1, "b": 2})), Answer("It is ", gate, "3."))

A prompt without a key is answered by :mod:`.default`. The protocol is OpenAI's Chat Completions
API (https://platform.openai.com/docs/api-reference/chat).
"""

from k8gentai.stack.conformance.scripted.server import ScriptedModel
from k8gentai.stack.conformance.scripted.steps import (
    ENDLESS_LINE,
    FOREVER,
    HANG_UP,
    Answer,
    Call,
    Gate,
    Raw,
    Received,
    Refuse,
    Step,
    Thought,
)

__all__ = [
    "ENDLESS_LINE",
    "FOREVER",
    "HANG_UP",
    "Answer",
    "Call",
    "Gate",
    "Raw",
    "Received",
    "Refuse",
    "ScriptedModel",
    "Step",
    "Thought",
]
