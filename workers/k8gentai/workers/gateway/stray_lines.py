"""Finds out whether a line of a streamed answer that is no chunk is what broke the answer off.

Endpoints and proxies that fail in mid-stream may say so in plain words (``data: Internal Server Error``), and end
the stream as if it were whole. Others send such lines while an answer goes on.
"""

import re
from typing import Any

from k8gentai.workers.gateway.answer_parts import says_anything, sent_choices

_KEEP_ALIVE = re.compile(r"\W*(ping|pong|heart[-_ ]?beat|keep[-_ ]?alive|(\w+ )?processing)?\W*", re.IGNORECASE)
"""The lines that are sent so that a connection is not taken for dead."""
_LONGEST_KEEP_ALIVE = 100


class StrayLines:
    """The lines of one stream that are no chunks."""

    def __init__(self) -> None:
        self._last = ""
        self._is_finished = False

    def take(self, line: Any) -> None:
        """Take the data of an event that is no chunk: text, or JSON that is no object."""
        if isinstance(line, str) and not (len(line) <= _LONGEST_KEEP_ALIVE and _KEEP_ALIVE.fullmatch(line)):
            self._last = line

    def goes_on(self, chunk: dict[str, Any]) -> None:
        """Take a chunk."""
        self._is_finished |= any(choice.get("finish_reason") for choice in sent_choices(chunk))
        if says_anything(chunk):
            self._last = ""

    def breaking(self) -> str:
        """Return the line that broke the answer off, which is at its end; empty where none did: the answer went on
        behind each, or is finished by its own word.
        """
        return "" if self._is_finished else self._last
