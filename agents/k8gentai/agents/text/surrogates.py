"""Joins the halves of a character (surrogates) that come in two pieces of a text."""

import re

from k8gentai.agents.text.utf8 import encodable

_FIRST_HALF = re.compile("[\ud800-\udbff]$")
_HEX = "[0-9a-fA-F]"
_FIRST, _SECOND = rf"\\u[dD][89abAB]{_HEX}{{2}}", rf"\\u[dD][c-fC-F]{_HEX}{{2}}"
"""Halves of a character as JSON escapes them."""
_BROKEN = rf"\\u(?={_HEX}{{0,3}}[^0-9a-fA-F])"
_HALF = re.compile(rf"({_FIRST}{_SECOND}|\\[^u])|{_FIRST}|{_SECOND}")
"""One half, or in the first group what is none: two of them, or another escape."""
_WHOLE = re.compile(
    rf"(?:[^\\]+|\\[^u]|{_BROKEN}|(?!{_FIRST})\\u{_HEX}{{4}}|{_FIRST}(?=[^\\]|\\[^u]|{_BROKEN}|\\u{_HEX}{{4}}))*+"
)
"""JSON text up to an escape that is cut, or is a first half and the last of the text."""


def encodable_json(text: str) -> str:
    """Make JSON text encodable, and each string in it, with U+FFFD in place of escapes of single halves."""
    text = encodable(text)
    return _HALF.sub(lambda found: found[1] or "\\ufffd", text) if "\\" in text else text


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


class EscapedCharacters(Characters):
    """JSON text that comes in pieces, whose halves of characters may be escapes."""

    def __init__(self) -> None:
        super().__init__()
        self._escape = ""

    def feed(self, piece: str) -> str:
        """Take a piece. Returns what of the text is whole."""
        text = self._escape + super().feed(piece)
        end = found.end() if (found := _WHOLE.match(text)) else 0
        self._escape = text[end:]
        return encodable_json(text[:end])

    def end(self) -> str:
        """Return what is left when the text ends."""
        held, self._escape = self._escape + super().end(), ""
        return encodable_json(held)
