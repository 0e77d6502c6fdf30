"""Suggests the name that was meant by one that does not exist."""

import difflib
from collections.abc import Iterable

_LONGEST = 200
"""Longer names are nobody's, and cost much to compare."""


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return the end of a sentence about a name that does not exist: a question, or nothing where none is like it.

    Args:
        name: the name.
        names: the names that exist.
    """
    found = nearest(name, names)
    return f"; did you mean {found!r}?" if found else ""


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Return the name that is most like another; None where none is.

    Args:
        name: the name.
        names: the names that exist.
    """
    near = difflib.get_close_matches(name, list(names), n=1) if len(name) <= _LONGEST else ()
    return near[0] if near else None
