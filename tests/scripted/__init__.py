"""The scripted model of the conformance suite, which is the only double of all tests."""

from k8gentai.stack.conformance.scripted import (
    ENDLESS_LINE,
    FOREVER,
    HANG_UP,
    Answer,
    Call,
    Gate,
    Raw,
    Received,
    Refuse,
    ScriptedModel,
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
    "Thought",
]
