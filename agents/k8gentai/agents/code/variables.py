"""Notes the variables of the environment that agents' code asks for, above all those that are not set.

An agent that could not be loaded for want of one is not broken: where the variable is set, it may well be ready.
Of the values a digest is noted, as an agent may be another one by them.
"""

import hashlib
import inspect
import os
import re
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from k8gentai.agents.code.loading import is_own_code

_OF_PATH = ("PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH", "PYTHONNOUSERSITE", "PYTHONUSERBASE")
"""The variables that say where Python finds modules, be they looked up or not."""
_DIGEST_CHARACTERS = 8
"""Enough to tell two values from one another, and too few to find one again by trying."""

_looked_up: dict[str, bool] = {}
"""Each with whether it was set when it was first looked up."""
_listed: deque[str] = deque()
"""The variables that were listed and not looked up since. Code that copies the environment looks each up in this
order, and asks for none."""
_by_agents: set[str] = set()
"""The variables that agents' code looked up, itself or by what it called."""
_at_first: dict[str, str] = {}
"""The environment as it was before any of that code ran, which may set variables."""
_WORD = re.compile(r"(?<![\w-])\w+(?![\w-])")


class _NotingEnvironment(os._Environ[str]):
    """The environment of this process, which notes what it is asked for."""

    def __iter__(self) -> Iterator[str]:
        for name in super().__iter__():
            _listed.append(name)
            yield name

    def __getitem__(self, name: str) -> str:
        if not _is_copied(name) and name not in _by_agents and _agents_ask():
            _by_agents.add(name)
        try:
            value = super().__getitem__(name)
        except KeyError:
            _looked_up.setdefault(name, False)
            raise
        _looked_up.setdefault(name, True)
        return value


def note_variables() -> None:
    """Note, from now on, each variable that this process looks up."""
    _at_first.update(os.environ)
    os.environ.__class__ = _NotingEnvironment


def looked_up_variables() -> dict[str, bool]:
    """Return the names of those that were, each with whether it was set when this process began."""
    return {name: name in _at_first for name in _looked_up}


def noted_values(salt: str) -> dict[str, str]:
    """Return a digest of the value of each variable that agents depend on, as :func:`digests_of` does."""
    return digests_of([*_OF_PATH, *sorted(_by_agents | _settings())], _at_first, salt)


def digests_of(names: Iterable[str], environment: Mapping[str, str], salt: str) -> dict[str, str]:
    """Return the digests of variables' values, by their names.

    Args:
        names: the names of the variables.
        environment: the environment that has them. The digest of one that is not set is empty.
        salt: digests of one salt are compared.
    """
    values = {name: environment.get(name) for name in names}
    return {name: "" if value is None else _digest(salt, value) for name, value in values.items()}


def _digest(salt: str, value: str) -> str:
    content = f"{salt}\0{value}".encode(errors="surrogateescape")
    return hashlib.sha256(content).hexdigest()[:_DIGEST_CHARACTERS]


def _is_copied(name: str) -> bool:
    if _listed and _listed[0] == name:
        _listed.popleft()
        return True
    _listed.clear()
    return False


def _agents_ask() -> bool:
    """Return whether the code at hand works for agents' code: what a library asks as it is imported, whoever does
    that, is its own affair."""
    frame = inspect.currentframe()
    while frame is not None:
        if is_own_code(frame.f_code.co_filename):
            return True
        if frame.f_code.co_name == "<module>":
            return False
        frame = frame.f_back
    return False


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


def _settings() -> set[str]:
    """Return the variables of all fields of pydantic-settings classes, which read a copy of the environment."""
    library: Any = sys.modules.get("pydantic_settings")
    kinds = [] if library is None else list(_subclasses(library.BaseSettings))
    named = {f"{kind.model_config.get('env_prefix', '')}{name}" for kind in kinds for name in kind.model_fields}
    return {written for name in named for written in (name, name.upper())}


def _subclasses(kind: Any) -> Iterator[Any]:
    for below in kind.__subclasses__():
        yield below
        yield from _subclasses(below)
