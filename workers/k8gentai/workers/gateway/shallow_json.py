"""Cuts arguments of tool calls off where they are nested so deeply that readers of JSON fail on them.

Frameworks expect arguments that are no JSON, and these are such then; a reader whose stack is used up raises
another error, which ends the agent.
"""

import re

from k8gentai.agents.text.json_text import MAX_DEPTH

_MARK = re.compile(r'\\.|["\\[\]{}]', re.DOTALL)
"""The characters that begin or end a string, an object or a list, or an escape."""


class ShallowJson:
    """JSON text that comes in pieces, as far as it is not nested too deeply."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = False
        self._escaped = False

    def feed(self, piece: str) -> str:
        """Take a piece. Returns what of it is before the text is nested too deeply."""
        if not piece or self._depth > MAX_DEPTH:
            return ""
        begins, self._escaped = int(self._escaped), False
        for mark in _MARK.finditer(piece, begins):
            if mark[0] == "\\":
                self._escaped = True
            elif mark[0] == '"':
                self._in_string = not self._in_string
            elif not self._in_string and self._is_too_deep(mark[0]):
                return piece[: mark.start()]
        return piece

    def _is_too_deep(self, mark: str) -> bool:
        self._depth += (mark in "[{") - (mark in "]}")
        return self._depth > MAX_DEPTH
