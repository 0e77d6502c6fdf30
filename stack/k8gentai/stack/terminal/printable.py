"""Makes text of models and tools fit for a terminal, which would take some of it for commands."""

import re

_COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Control characters (ECMA-48) but tabs and new lines, and those that turn the direction of text (UAX #9). With
either a model could rewrite on the screen what a person is asked to approve."""


def printable(text: str) -> str:
    """Return a text with an escape, such as ``\\x1b``, in the place of each character that is no text."""
    return _COMMANDS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
