"""Finds the files that an agent's own code is in: of its modules, and of those that they import in turn."""

import ast
import functools
import sys
from collections.abc import Iterable, Iterator
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import resolve_name
from pathlib import Path

from k8gentai.agents.loading import is_own_code


def code_files(modules: Iterable[str]) -> set[str]:
    """Return the files of modules, of their packages, and of all own code that their sources import, be it in a
    function that did not run yet. Imports nothing.
    """
    files: set[str] = set()
    seen: set[str] = set()
    left = [*modules]
    while left:
        name = left.pop()
        if name in seen:
            continue
        seen.add(name)
        if package := name.rpartition(".")[0]:
            left.append(package)
        spec = _spec(name)
        if spec and spec.has_location and spec.origin and is_own_code(spec.origin):
            files.add(spec.origin)
            left += _imported(spec.origin, name if spec.submodule_search_locations is not None else package)
    return files


def _spec(name: str) -> ModuleSpec | None:
    """Return what Python knows of a module, or would find; None where there is none, or a library has it."""
    known = sys.modules.get(name)
    if known is not None:
        spec: ModuleSpec | None = getattr(known, "__spec__", None)
        return spec
    package = name.rpartition(".")[0]
    path: Iterable[str] | None = None
    if package:
        parent = _spec(package)
        if parent is None or (parent.origin and not is_own_code(parent.origin)):
            return None
        path = parent.submodule_search_locations
        if path is None:
            return None
    return PathFinder.find_spec(name, [*path] if path is not None else None)


@functools.cache
def _imported(file: str, package: str) -> tuple[str, ...]:
    """Return the names of what the import statements of a source may import; none where it cannot be read."""
    try:
        tree = ast.parse(Path(file).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return ()
    return tuple(name for node in ast.walk(tree) for name in _named(node, package))


def _named(node: ast.AST, package: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        try:
            origin = resolve_name(f"{'.' * node.level}{node.module or ''}", package)
        except ImportError:  # Beyond the top-level package.
            return
        yield origin
        yield from (f"{origin}.{alias.name}" for alias in node.names)
