"""Notes the variables of the environment that agents' code asks for, above all those that are not set.

An agent that could not be loaded for want of one is not broken: where the variable is set, it may well be ready.
"""

import os
import re
import sys
from collections.abc import Iterator
from typing import Any

_looked_up: dict[str, bool] = {}
"""Each with whether it was set when it was first looked up."""
_WORD = re.compile(r"(?<![\w-])\w+(?![\w-])")


class _NotingEnvironment(os._Environ[str]):
    """The environment of this process, which notes what it is asked for."""

    def __getitem__(self, name: str) -> str:
        try:
            value = super().__getitem__(name)
        except KeyError:
            _looked_up.setdefault(name, False)
            raise
        _looked_up.setdefault(name, True)
        return value


def note_variables() -> None:
    """Note, from now on, each variable that this process looks up."""
    os.environ.__class__ = _NotingEnvironment


def looked_up_variables() -> dict[str, bool]:
    """Return the names of those that were, each with whether it was set."""
    return dict(_looked_up)


def missing_variables(error: BaseException) -> list[str]:
    """Return the names of the variables that an error says are missing, in order; none where it names none.

    An error names a variable if its text, or that of one it arose from, holds the name of one that was looked up
    in vain, or if it is that of pydantic-settings for a field that got no value.
    """
    found: set[str] = set()
    missing = {name for name, was_set in _looked_up.items() if not was_set}
    for cause in _chain(error):
        words = set(_WORD.findall(str(cause)))
        found |= (missing & words) | _missing_settings(cause)
    return sorted(found)


def misses_module(error: BaseException) -> bool:
    """Return whether an error arose from a module that is not there."""
    return any(isinstance(cause, ModuleNotFoundError) for cause in _chain(error))


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def _missing_settings(error: BaseException) -> set[str]:
    """Return the variables of the fields without a value, where the error is one of a pydantic-settings class."""
    library: Any = sys.modules.get("pydantic_settings")
    if library is None or type(error).__name__ != "ValidationError":
        return set()
    refused: Any = error
    prefixes = [
        kind.model_config.get("env_prefix", "")
        for kind in _subclasses(library.BaseSettings)
        if (kind.model_config.get("title") or kind.__name__) == refused.title
    ]
    missing = [str(fault["loc"][0]) for fault in refused.errors() if fault["type"] == "missing" and fault["loc"]]
    return {f"{prefix}{name}".upper() for prefix in prefixes[:1] for name in missing}


def _subclasses(kind: Any) -> Iterator[Any]:
    for below in kind.__subclasses__():
        yield below
        yield from _subclasses(below)
