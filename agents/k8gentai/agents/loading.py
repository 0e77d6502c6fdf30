"""Imports what an entrypoint names. Only definitions of the registry come here, never a request.

A module is imported once for all its agents, and again when its own source changed. What it imports in turn
is not imported again: for that, restart the worker.
"""

import contextlib
import difflib
import functools
import hashlib
import importlib
import importlib.util
import inspect
import sys
import sysconfig
import traceback
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import k8gentai
from k8gentai.agents.definition import AgentDefinition
from k8gentai.agents.text import message_of
from k8gentai.agents.turn import AgentLoadError

_imported: dict[str, bytes] = {}
"""The digest of the source each entrypoint's module was imported from, by the module's name."""

_NOT_OWN = (
    *(f"{Path(sysconfig.get_path(name)).resolve()}/" for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    *(f"{Path(folder).resolve()}/" for folder in k8gentai.__path__),
)


def load_object(entrypoint: str) -> object:
    """Return the object ``package.module:object.attribute`` names, the working directory coming first in the path.

    Raises:
        AgentLoadError: naming the file, line and reason of the innermost frame in the agent's own code.
    """
    module_name, _, path = entrypoint.partition(":")
    module = _import(module_name)
    found: object = module
    for name in path.split("."):
        try:
            found = getattr(found, name)
        except AttributeError as error:
            near = difflib.get_close_matches(name, dir(found), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise AgentLoadError(f"{entrypoint}: there is no {name!r}{hint}", module.__file__) from error
    return found


def digest(definition: AgentDefinition) -> str:
    """Return what changes when the definition does, or a module that it names. Imports the modules'
    packages only.
    """
    content = hashlib.sha256(definition.model_dump_json(by_alias=True).encode())
    for module in named_modules(definition):
        if source := _source(module):
            content.update(source)
    return content.hexdigest()


def named_modules(definition: AgentDefinition) -> list[str]:
    """Return the names of the modules that a definition names, that of its entrypoint first."""
    named = [definition.spec.entrypoint, *(tool.function for tool in definition.spec.tools)]
    return [reference.partition(":")[0] for reference in named if reference]


def _source(module: str) -> bytes | None:
    """Return the module's source; None where it cannot be had, be it that a package of it cannot be imported."""
    _add_working_directory()
    known = sys.modules.get(module)
    try:
        spec = known.__spec__ if known else importlib.util.find_spec(module)
        return Path(spec.origin).read_bytes() if spec and spec.has_location and spec.origin else None
    except Exception:  # noqa: BLE001 - a package's own code runs; the import that follows reports it
        return None


def _import(name: str) -> ModuleType:
    source = _source(name)
    version = hashlib.sha256(source).digest() if source is not None else b""
    known = sys.modules.get(name)
    if known is not None:
        # A module that something else had imported before has the version it had when we first met it.
        if _imported.setdefault(name, version) == version:
            return known
        del sys.modules[name]
        _remove_bytecode(known.__spec__)
    importlib.invalidate_caches()
    try:
        module = importlib.import_module(name)
    except BaseException as error:
        with contextlib.suppress(Exception):
            _remove_bytecode(importlib.util.find_spec(name))
        raise _explain(error, name) from error
    _imported[name] = version
    return module


def _remove_bytecode(spec: ModuleSpec | None) -> None:
    """Have a module compiled anew: bytecode is told from stale by second and size, which is too coarse for someone
    trying things out."""
    if spec is not None and spec.cached:
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
        return AgentLoadError(f"there is no module {error.name!r} for {module} (looked from {Path.cwd()})")
    return AgentLoadError(f"{module}: {reason}")


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
