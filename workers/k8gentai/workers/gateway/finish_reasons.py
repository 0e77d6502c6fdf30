"""Translates the reasons why answers ended into today's words of the OpenAI API."""

from collections.abc import Sequence
from typing import Any

from k8gentai.agents.text.utf8 import encodable
from k8gentai.workers.gateway.answer_parts import LEGACY_CALL

_WHOLE = ("stop", "tool_calls", LEGACY_CALL)
"""The finish reasons of what the model wrote to its end."""


def sent_reason(choice: dict[str, Any]) -> str | None:
    """Return the finish reason of a choice; None where it has none, or one that is no text and tells nothing."""
    reason = choice.get("finish_reason")
    return encodable(reason) if reason and isinstance(reason, str) else None


def joint_reason(first: str | None, others: Sequence[str | None], *, called: bool) -> str:
    """Return why an answer ended, in today's words: first of all, what cut it off.

    Args:
        first: the finish reason of its words.
        others: the finish reasons of the choices that its other calls came in.
        called: it holds calls.
    """
    if cut_off := next((reason for reason in (first, *others) if reason and reason not in _WHOLE), None):
        return cut_off
    return finish_reason("tool_calls" if others else first, called=called)


def finish_reason(sent: str | None, *, called: bool) -> str:
    """Return why an answer ended, in today's words."""
    return "tool_calls" if sent == LEGACY_CALL else sent or ("tool_calls" if called else "stop")
