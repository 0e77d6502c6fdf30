"""Imports what an entrypoint names. Only definitions of the registry come here, never a request.

A module is imported once for all its agents, and not again: what other modules and frameworks took from it would
stay as it was. Changed code is for a process of its own.
"""

import contextlib
import functools
import importlib
import importlib.util
import inspect
import os
import sys
import sysconfig
import time
import traceback
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import k8gentai
from k8gentai.agents.contract.turn import AgentLoadError
from k8gentai.agents.resources.agent import AgentDefinition
from k8gentai.agents.text.suggestion import did_you_mean
from k8gentai.agents.text.utf8 import message_of

_YOUNG_SECONDS = 2
"""Bytecode is told from stale by the second and the size of its source, which is too coarse for someone trying
things out: that of a source so young is not kept."""

_NOT_OWN = (
    *(f"{Path(sysconfig.get_path(name)).resolve()}/" for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    *(f"{Path(folder).resolve()}/" for folder in k8gentai.__path__),
)


def load_object(entrypoint: str) -> object:
    """Return the object ``package.module:object.attribute`` names, the working directory coming first in the path.

    Raises:
        AgentLoadError: naming the file, line and reason of the innermost frame in the agent's own code; where a
            name is not there, the module that lacks it.
    """
    module_name, _, path = entrypoint.partition(":")
    module = _import(module_name)
    found: object = module
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError as error:
            hint = did_you_mean(name, dir(found))
            # What is wrong is the name, so no file: the definition's line is.
            file = getattr(module, "__file__", None)
            where = f" in {_shown(file)}" if file else ""
            raise AgentLoadError(f"{entrypoint}: there is no {name!r}{where}{hint}") from error
    return found


def named_modules(definition: AgentDefinition) -> list[str]:
    """Return the names of the modules that a definition names, that of its entrypoint first."""
    named = [definition.spec.entrypoint, *(tool.function for tool in definition.spec.tools)]
    return [reference.partition(":")[0] for reference in named if reference]


def _import(name: str) -> ModuleType:
    if (known := sys.modules.get(name)) is not None:
        return known
    _add_working_directory()
    importlib.invalidate_caches()
    before = set(sys.modules)
    try:
        return importlib.import_module(name)
    except BaseException as error:
        with contextlib.suppress(Exception):
            _remove_bytecode(importlib.util.find_spec(name))
        raise _explain(error, name) from error
    finally:
        for imported in set(sys.modules) - before:
            _remove_bytecode(getattr(sys.modules.get(imported), "__spec__", None))


def _remove_bytecode(spec: ModuleSpec | None) -> None:
    """Have an agent's module compiled anew by the next process, if its source is young."""
    if spec and spec.cached and spec.origin and is_own_code(spec.origin):
        with contextlib.suppress(OSError):
            if time.time() - Path(spec.origin).stat().st_mtime < _YOUNG_SECONDS:
                Path(spec.cached).unlink(missing_ok=True)


def _add_working_directory() -> None:
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)


def _explain(error: BaseException, module: str) -> AgentLoadError:
    reason = f"{type(error).__name__}: {message_of(error)}"
    if isinstance(error, SyntaxError) and error.filename:
        return AgentLoadError(f"{type(error).__name__}: {error.msg}", error.filename, error.lineno)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if is_own_code(frame.filename)]
    if frames:
        return AgentLoadError(reason, frames[-1].filename, frames[-1].lineno)
    if isinstance(error, ModuleNotFoundError):
        needed = "" if error.name == module else f" for {module}"
        return AgentLoadError(f"there is no module {error.name!r}{needed} ({_looked_in()})")
    return AgentLoadError(f"{module}: {reason}")


def _looked_in() -> str:
    """Return where agents' modules are looked for, beside the installed packages."""
    path = os.environ.get("PYTHONPATH")
    named = f"in PYTHONPATH: {path}" if path else "in no other directory, as PYTHONPATH names none"
    return f"looked from {Path.cwd()}, and {named}"


@functools.lru_cache(maxsize=20_000)
def is_own_code(filename: str) -> bool:
    """Return whether a frame is in the agent's code, rather than in a library, in Python or in this module."""
    return (
        not filename.startswith("<")
        and filename != __file__
        and not str(Path(filename).resolve()).startswith(_NOT_OWN)
    )


def own_place() -> str:
    """Return the innermost line of the agent's code that the code at hand works for, as ``file:line (function)``;
    empty where there is none.
    """
    frame = inspect.currentframe()
    while frame is not None:
        if _is_agents(frame.f_code.co_filename):
            return f"{_shown(frame.f_code.co_filename)}:{frame.f_lineno} ({frame.f_code.co_name})"
        frame = frame.f_back
    return ""


@functools.lru_cache(maxsize=10_000)
def _is_agents(filename: str) -> bool:
    """Return whether a file is the agent's, rather than a library's or this product's."""
    ours = [f"{Path(place).resolve()}/" for place in sys.modules["k8gentai"].__path__]
    return is_own_code(filename) and not str(Path(filename).resolve()).startswith(tuple(ours))


def _shown(filename: str) -> str:
    """Return a path as a person would name it: from the working directory, if it is below."""
    try:
        return str(Path(filename).resolve().relative_to(Path.cwd()))
    except ValueError:
        return filename
