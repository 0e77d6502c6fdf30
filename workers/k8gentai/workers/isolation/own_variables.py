"""Environment variables that each agent has for itself, though all share the process.

Model SDKs find their endpoint by them. An agent that sets its own, as it may under its framework alone, would lead
the model calls of every other agent there.
"""

import builtins
import importlib.util
import inspect
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from functools import wraps
from importlib import _bootstrap
from types import ModuleType
from typing import Any
from weakref import finalize

_MODEL_NAMES = ("OPENAI_BASE_URL", "OPENAI_API_BASE", "OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID")
_PROXY_NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_NAMES = {*_MODEL_NAMES, *_PROXY_NAMES, *map(str.lower, _PROXY_NAMES)}

own_variables: ContextVar[dict[str, str | None] | None] = ContextVar("amf_variables", default=None)
"""The values that the agent whose code is at hand gave these variables; None for one that it deleted. Not set
where no agent's code runs."""


class _Imports:
    """The values that the import of each module gave these variables, for all agents that the module holds.

    A module's class may define when it equals others, and so have no hash: each is told by its identity.
    """

    def __init__(self) -> None:
        self._set: dict[int, dict[str, str | None]] = {}

    def __bool__(self) -> bool:
        return bool(self._set)

    def of(self, module: ModuleType) -> Mapping[str, str | None]:
        """Return what the import of a module set; None for what it deleted."""
        return self._set.get(id(module), {})

    def note(self, module: ModuleType) -> dict[str, str | None]:
        """Return the same, to be changed."""
        if id(module) not in self._set:
            self._set[id(module)] = {}
            finalize(module, self._set.pop, id(module))
        return self._set[id(module)]


_at_import = _Imports()


class _Environment(os._Environ[str]):
    """The environment as the code at hand sees it."""

    def __getitem__(self, key: str) -> str:
        own = _own(key)
        if own is None or key not in own:
            return super().__getitem__(key)
        if (value := own[key]) is None:
            raise KeyError(key)
        return value

    def __setitem__(self, key: str, value: str) -> None:
        if (own := _own(key)) is None:
            super().__setitem__(key, value)
        else:
            # Checks both as it always does.
            key, value = self.decodekey(self.encodekey(key)), self.decodevalue(self.encodevalue(value))
            own[key] = value
            _note(key, value)

    def __delitem__(self, key: str) -> None:
        if (own := _own(key)) is None:
            super().__delitem__(key)
        else:
            self[key]
            own[key] = None
            _note(key, None)

    def __iter__(self) -> Iterator[str]:
        own = own_variables.get() or {}
        yield from (key for key in super().__iter__() if key not in own)
        yield from [key for key, value in own.items() if value is not None]

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _own(key: object) -> dict[str, str | None] | None:
    return own_variables.get() if key in _NAMES else None


def _note(key: str, value: str | None) -> None:
    """Note a change for each module that is being imported here."""
    for module in _being_imported():
        _at_import.note(module)[key] = value


def _being_imported() -> Iterator[ModuleType]:
    """Yield the modules whose import is under way here, the innermost first."""
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code.co_name == "<module>":
            module = sys.modules.get(frame.f_globals.get("__name__", ""))
            # A module may have put anything in its own place.
            if isinstance(module, ModuleType) and vars(module) is frame.f_globals:
                yield module
        frame = frame.f_back


def _find_what_imports_set() -> None:
    """Have agents' code that imports a module find what its import set, be it for another agent: a module runs
    once. To be called once.
    """
    original = builtins.__import__

    @wraps(original)
    def importing(
        name: str,
        globals: Mapping[str, object] | None = None,  # noqa: A002 - as Python's own
        locals: Mapping[str, object] | None = None,  # noqa: A002
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        imported = original(name, globals, locals, fromlist or (), level)
        _find_what_was_set(name, fromlist or (), level, globals or {})
        return imported

    builtins.__import__ = importing


def _find_what_imports_by_name_set() -> None:
    """Do the same for ``importlib.import_module``, which many modules hold already. To be called once."""
    bootstrap: Any = _bootstrap
    original = bootstrap._gcd_import

    @wraps(original)
    def importing(name: str, package: str | None = None, level: int = 0) -> ModuleType:
        imported: ModuleType = original(name, package, level)
        _find_what_was_set(name, (), level, {"__package__": package})
        return imported

    bootstrap._gcd_import = importing


def _find_what_was_set(name: str, fromlist: Sequence[str], level: int, importer: Mapping[str, object]) -> None:
    """Set for the agent at hand what an import that succeeded set.

    Args:
        name: the imported name, as it was written: without its ``level`` leading dots.
        fromlist: the names that are imported from it.
        level: how many packages up from the importer's it is looked for; 0 for an absolute name.
        importer: the globals of the importing module.
    """
    if _at_import and (own := own_variables.get()) is not None:
        absolute = _absolute(name, level, importer) if level else name
        for module in _packages_and_modules(absolute, fromlist):
            _take_over(own, set_by_import(module))


def _absolute(name: str, level: int, importer: Mapping[str, object]) -> str:
    package = importer.get("__package__")
    if package is None:
        package = str(importer.get("__name__", ""))
        package = package if "__path__" in importer else package.rpartition(".")[0]
    return importlib.util.resolve_name("." * level + name, str(package))


def _packages_and_modules(name: str, fromlist: Sequence[str]) -> Iterator[str]:
    """Yield the names of all modules that an import statement may import."""
    parts = name.split(".")
    yield from (".".join(parts[:length]) for length in range(1, len(parts) + 1))
    yield from (f"{name}.{part}" for part in fromlist)


def _take_over(own: dict[str, str | None], known: Mapping[str, str | None]) -> None:
    """Set what an import set, but for what the agent's code or the importing module has set otherwise."""
    for key, value in dict(known).items():
        own.setdefault(key, value)
        for module in _being_imported():
            _at_import.note(module).setdefault(key, value)


def set_by_import(module: str) -> Mapping[str, str | None]:
    """Return what the import of a module set of these variables, whichever agent it was for; None for what it
    deleted."""
    known = sys.modules.get(module)
    # A module may have put anything in its own place.
    return _at_import.of(known) if isinstance(known, ModuleType) else {}


def part_variables() -> None:
    """Have each agent change these variables for itself alone. To be called before agents are imported, once."""
    os.environ.__class__ = _Environment
    _find_what_imports_set()
    _find_what_imports_by_name_set()
