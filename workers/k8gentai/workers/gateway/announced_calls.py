"""Finds out whether an answer holds the tool calls that its finish reason announces."""

from typing import Any

from k8gentai.workers.gateway.answer_parts import LEGACY_CALL, SentDeltas, choice_index, sent_calls, sent_choices

_ANNOUNCING = ("tool_calls", LEGACY_CALL)


class AnnouncedCalls:
    """The calls that an answer announces, and those that it holds.

    Args:
        request: the call that is answered. Where it asks for several choices, each must hold its own.
    """

    def __init__(self, request: dict[str, Any]) -> None:
        self._several = (request.get("n") or 1) != 1
        self._deltas = SentDeltas()
        self._announced: dict[int, str] = {}
        """The finish reasons that announce calls, by the indexes of their choices."""
        self._held: set[int] = set()
        """The indexes of the choices that hold calls."""

    def read(self, sent: dict[str, Any]) -> None:
        """Read a chunk or a completion."""
        for choice in sent_choices(sent):
            index = choice_index(choice) if self._several else 0
            if sent_calls(self._deltas.read(choice)):
                self._held.add(index)
            if (reason := choice.get("finish_reason")) in _ANNOUNCING:
                self._announced[index] = reason

    def unkept_reason(self) -> str | None:
        """Return the finish reason that announces a call which did not come, if there is one."""
        return next((reason for index, reason in self._announced.items() if index not in self._held), None)
