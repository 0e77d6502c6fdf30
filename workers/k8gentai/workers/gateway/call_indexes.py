"""Finds out which tool call a piece of a streamed answer belongs to, where an endpoint leaves out the index."""

from typing import Any


class CallIndexes:
    """The indexes of the tool calls of one choice."""

    def __init__(self) -> None:
        self._by_id: dict[str, int] = {}
        self._by_position: dict[int, int] = {}
        self._next = 0

    def index(self, piece: dict[str, Any], position: int) -> int:
        """Return the index of the call that a piece belongs to.

        Args:
            piece: as it came. One without an index goes on the call that has its id, or begins one where it has a
                name and an id that is new; any other goes on the call whose piece came last at its position.
            position: the call's number among the pieces of its chunk.
        """
        call_id = piece.get("id") if isinstance(piece.get("id"), str) else None
        index = _number(piece.get("index"))
        if index is None and call_id:
            index = self._by_id.get(call_id)
            if index is None and _has_name(piece):
                index = self._next
        if index is None:
            index = self._by_position.get(position, self._next)
        if call_id:
            self._by_id[call_id] = index
        self._by_position[position] = index
        self._next = max(self._next, index + 1)
        return index


def _number(sent: Any) -> int | None:
    """Return an index as a number; None where it is none."""
    try:
        return int(sent)
    except (TypeError, ValueError, OverflowError):
        return None


def _has_name(piece: dict[str, Any]) -> bool:
    function = piece.get("function")
    return isinstance(function, dict) and bool(function.get("name"))
