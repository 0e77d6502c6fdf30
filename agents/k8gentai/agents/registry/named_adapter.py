"""Adapters that are not among ours: named by an operator, in the environment of the processes that they start,
and by nothing else. No definition, request or queue entry ever comes here.
"""

import importlib
import inspect
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from k8gentai.agents.contract.turn import AnyAdapter
from k8gentai.agents.resources.agent import FRAMEWORK

_PARTS = ("framework", "default_concurrency", "load", "run")


class AdapterError(Exception):
    """The adapter cannot be used; the message is one line for a person."""


def load_adapter(reference: str) -> AnyAdapter:
    """Return a new adapter of a third party, looked for from the working directory.

    Args:
        reference: ``package.module:Class``, or ``package.module`` where it has one adapter.

    Raises:
        AdapterError: it cannot be imported, or is no adapter.
    """
    name, _, wanted = reference.partition(":")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(name)
        adapter: AnyAdapter = _class(module, wanted)()
    except AdapterError:
        raise
    except Exception as error:
        raise AdapterError(f"the adapter {reference} cannot be had: {type(error).__name__}: {error}") from error
    if not isinstance(adapter.framework, str) or not re.fullmatch(FRAMEWORK, adapter.framework):
        raise AdapterError(f"{reference}: its framework {adapter.framework!r} is no name: {FRAMEWORK}")
    return adapter


def _class(module: ModuleType, wanted: str) -> Any:
    """Return the class of that name; without one, the only adapter that the module itself defines."""
    if wanted:
        found = getattr(module, wanted, None)
        if not inspect.isclass(found) or (lacks := _lacks(found)):
            what = f"lacks {', '.join(lacks)}" if inspect.isclass(found) else "is no class"
            raise AdapterError(f"{module.__name__}:{wanted} is no adapter: it {what}")
        return found
    own = [c for c in vars(module).values() if inspect.isclass(c) and c.__module__ == module.__name__]
    adapters = [c for c in own if not _lacks(c)]
    if len(adapters) != 1:
        names = ", ".join(c.__name__ for c in adapters) or "none"
        raise AdapterError(
            f"{module.__name__} is to have one class with {', '.join(_PARTS)}; it has {names}: "
            f"name one as {module.__name__}:Class"
        )
    return adapters[0]


def _lacks(found: type) -> list[str]:
    return [part for part in _PARTS if not hasattr(found, part)]


def main() -> None:
    """``python -m k8gentai.agents.registry.named_adapter ADAPTER``: print what the adapter is.

    The last line is JSON; where the adapter cannot be used, the exit code is 1 and the last line of standard error
    says why.
    """
    try:
        adapter = load_adapter(sys.argv[1])
    except AdapterError as error:
        sys.exit(str(error))
    said = {"framework": adapter.framework, "file": inspect.getfile(type(adapter))}
    sys.stdout.write(f"\n{json.dumps(said)}\n")


if __name__ == "__main__":
    main()
