"""Joins the halves of a character (surrogates) that come in two pieces of a text."""

import re

from k8gentai.agents.text import encodable

_FIRST_HALF = re.compile("[\ud800-\udbff]$")


class Characters:
    """One text that comes in pieces."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        """Take a piece. Returns what of the text is whole."""
        text = self._held + piece
        self._held = text[-1] if _FIRST_HALF.search(text) else ""
        return encodable(text[: len(text) - len(self._held)])

    def end(self) -> str:
        """Return what is left when the text ends: nothing, or U+FFFD in place of half a character."""
        held, self._held = self._held, ""
        return encodable(held)
