"""Searches for the patterns of a client's JSON schema, by an engine of finite automata, in bounded time."""

import re

from pydantic_core import SchemaError, SchemaValidator, core_schema

from k8gentai.agents.text.utf8 import encodable

_PATTERN_CHARACTERS = 2_000
_POSITIONS = 1_000
"""The number of characters that a pattern may stand for, with its counted repetitions written out."""
_WORK = 10_000_000
"""Positions of a pattern times characters of a text: about a second's worth, in which nothing else runs."""
_FREE_SPACING = re.compile(r"\(\?[a-zA-Z]*x")
_TOKEN = re.compile(r"\\(?:[pP]\{[^}]*\}|.)|\[\^?\]?(?:\\.|[^\]\\])*\]|\{(\d+)(?:,(\d*))?\}|.", re.DOTALL)
"""A character, a class of them, or a counted repetition of what is before it."""


class Patterns:
    """Finds patterns in texts; each pattern is compiled once."""

    def __init__(self) -> None:
        self._compiled: dict[str, SchemaValidator | None] = {}

    def is_in(self, pattern: str, text: str) -> bool | None:
        """Return whether a pattern is found in a text.

        Returns:
            None where that cannot be told: the pattern is none that the engine has (look-around,
            back-references), or is too large, by itself or for so long a text.
        """
        size = _positions(pattern) if len(pattern) <= _PATTERN_CHARACTERS else _POSITIONS + 1
        if size > _POSITIONS or size * len(text) > _WORK:
            return None
        if pattern not in self._compiled:
            self._compiled[pattern] = _compiled(pattern)
        compiled = self._compiled[pattern]
        return compiled and compiled.isinstance_python(encodable(text))


def _compiled(pattern: str) -> SchemaValidator | None:
    try:
        return SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))
    except SchemaError:
        return None


def _positions(pattern: str) -> int:
    """Count the characters that a pattern stands for, at least one, with its repetitions written out.

    Returns:
        A bound from above.
    """
    if _FREE_SPACING.search(pattern):
        return _POSITIONS + 1
    groups, last = [1], 0
    for token in _TOKEN.finditer(pattern):
        if token[0] == "(":
            groups.append(0)
            last = 0
        elif token[0] == ")" and len(groups) > 1:
            last = groups.pop()
            groups[-1] += last
        elif token[1]:
            times = max(int(token[2] or token[1]), 1)
            groups[-1] += last * (times - 1)
            last *= times
        else:
            last = 1
            groups[-1] += 1
    return sum(groups)
