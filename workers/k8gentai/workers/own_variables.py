"""Environment variables that each agent has for itself, though all share the process.

Model SDKs find their endpoint by them. An agent that sets its own, as it may under its framework alone, would lead
the model calls of every other agent there.
"""

import inspect
import os
import sys
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from types import ModuleType
from weakref import WeakKeyDictionary

_MODEL_NAMES = ("OPENAI_BASE_URL", "OPENAI_API_BASE", "OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID")
_PROXY_NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_NAMES = {*_MODEL_NAMES, *_PROXY_NAMES, *map(str.lower, _PROXY_NAMES)}

own_variables: ContextVar[dict[str, str | None] | None] = ContextVar("amf_variables", default=None)
"""What the agent whose code is at hand set of these; None for what it deleted. No such thing without an agent."""

_at_import: WeakKeyDictionary[ModuleType, dict[str, str | None]] = WeakKeyDictionary()
"""What the import of each module set of them: it is that of all agents that the module holds."""


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
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code.co_name == "<module>":
            module = sys.modules.get(frame.f_globals.get("__name__", ""))
            if module is not None and vars(module) is frame.f_globals:
                _at_import.setdefault(module, {})[key] = value
        frame = frame.f_back


def set_by_import(module: str) -> Mapping[str, str | None]:
    """Return what the import of a module set of these variables, whichever agent it was for; None for what it
    deleted."""
    known = sys.modules.get(module)
    return {} if known is None else _at_import.get(known, {})


def part_variables() -> None:
    """Have each agent change these variables for itself alone. To be called before agents are imported, once."""
    os.environ.__class__ = _Environment
