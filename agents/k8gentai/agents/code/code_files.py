"""Finds the files that an agent's own code is in: of its modules and MCP servers, and of what they import."""

import ast
import functools
import sys
from collections.abc import Iterable, Iterator
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import resolve_name
from itertools import pairwise
from pathlib import Path

from k8gentai.agents.code.loading import is_own_code, named_modules
from k8gentai.agents.resources.agent import AgentDefinition

_SCRIPTS = {".py", ".sh", ".js", ".mjs", ".cjs", ".ts", ".mts"}
"""The endings of files that a program which is named with them runs."""


def files_of(definition: AgentDefinition) -> set[str]:
    """Return the files that the code which a definition names is in, and all own code that it imports."""
    arguments = [tool.mcp.args for tool in definition.spec.tools if tool.mcp and tool.mcp.command]
    modules = [module for args in arguments for option, module in pairwise(args) if option == "-m"]
    named = (Path(argument).absolute() for args in arguments for argument in args)
    scripts = [str(path) for path in named if path.suffix in _SCRIPTS and path.is_file()]
    return code_files([*named_modules(definition), *modules], [path for path in scripts if is_own_code(path)])


def code_files(modules: Iterable[str], scripts: Iterable[str] = ()) -> set[str]:
    """Return the files of modules, of their packages, of scripts, and of all own code that their sources import,
    be it in a function that did not run yet. Imports nothing.
    """
    files = set(scripts)
    seen: set[str] = set()
    left = [*modules, *(name for script in files for name in _imported(script, ""))]
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
