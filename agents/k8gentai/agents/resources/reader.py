"""Reads agent definitions from YAML files, and says of each fault in which line it is.

``${env.NAME}`` and ``${env.NAME:=default}`` in a value stand for environment variables, as in the run YAML of
Llama Stack (``llama_stack.core.stack.replace_env_vars``): an empty variable counts as one that is not set, and
an empty default is no value at all.
"""

import math
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from k8gentai.agents.adapters import FRAMEWORKS
from k8gentai.agents.resources.agent import FRAMEWORKS_HERE, UNKNOWN_FRAMEWORK, AgentDefinition
from k8gentai.agents.text.suggestion import did_you_mean
from k8gentai.agents.text.utf8 import encodable

_VARIABLE = re.compile(r"\$\{env\.([A-Za-z0-9_]+)(?::=([^}]*))?\}")
_STRING = "tag:yaml.org,2002:str"
_NULL = "tag:yaml.org,2002:null"
_MANY_VALUES = 10_000
"""More than a definition can mean to have. An alias counts as all that it stands for."""


@dataclass(frozen=True)
class Fault:
    """Something wrong with a definition. Lines count from 1."""

    file: str
    line: int
    reason: str
    variable: str | None = None
    """The variable of the environment that is not set, where that is the fault."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}"


@dataclass(frozen=True)
class Document:
    """One YAML document that means to be an agent: a definition, or the faults that keep it from being one."""

    file: str
    line: int
    id: str
    """The id it gives itself; the file's name where it gives none."""
    framework: str
    definition: AgentDefinition | None
    faults: tuple[Fault, ...] = ()
    node: yaml.Node | None = field(default=None, repr=False, compare=False)

    def line_of(self, *path: str | int) -> int:
        """Return the line of a field: of what holds it, if it is not there."""
        return _line(self.node, path) if self.node else self.line


class _Faulty(Exception):  # noqa: N818 - carries faults to the one who reports them
    def __init__(self, *faults: Fault) -> None:
        self.faults = faults


def read_documents(
    agents_dir: Path,
    environment: Mapping[str, str] = os.environ,
    frameworks: Collection[str] = FRAMEWORKS,
) -> list[Document]:
    """Read every ``*.yaml`` and ``*.yml`` under a directory, in the order of their paths.

    Links are followed; a file that is there by several paths is read once.

    Args:
        agents_dir: the directory.
        environment: the variables that values may name.
        frameworks: those there is an adapter for.

    Raises:
        NotADirectoryError: there is no such directory.
    """
    files = _definition_files(agents_dir)
    return [document for path in files for document in _read_file(path, environment, frameworks)]


def empty_files(agents_dir: Path, documents: Iterable[Document]) -> list[str]:
    """Return the files that :func:`read_documents` reads under a directory and found no document in.

    Args:
        agents_dir: the directory.
        documents: what was read there.

    Raises:
        NotADirectoryError: there is no such directory.
    """
    filled = {document.file for document in documents}
    return [file for path in _definition_files(agents_dir) if (file := _shown(path)) not in filled]


def _definition_files(agents_dir: Path) -> list[Path]:
    """Return every ``*.yaml`` and ``*.yml`` under a directory once, in order.

    Raises:
        NotADirectoryError: there is no such directory.
    """
    if not agents_dir.is_dir():
        hint = "AMF_AGENTS names one directory, in which links to others are followed"
        raise NotADirectoryError(f"{agents_dir}: no such directory of agent definitions ({hint})")
    found = (path for path in _files(agents_dir, set()) if path.suffix in {".yaml", ".yml"} and path.is_file())
    # The shortest path is what a person looks for: Kubernetes mounts files as links into hidden directories.
    once = {path.resolve(): path for path in sorted(found, key=lambda path: len(path.parts), reverse=True)}
    return sorted(once.values())


def _files(directory: Path, entered: set[Path]) -> Iterator[Path]:
    """Yield what is under a directory and is none, each directory being entered once."""
    if (real := directory.resolve()) in entered:
        return
    entered.add(real)
    for path in sorted(_listed(directory)):
        if path.is_dir():
            yield from _files(path, entered)
        else:
            yield path


def _listed(directory: Path) -> list[Path]:
    """Return what is in a directory; nothing where that must not be read, as in a file system's ``lost+found``."""
    try:
        return [*directory.iterdir()]
    except PermissionError:
        return []


def _read_file(path: Path, environment: Mapping[str, str], frameworks: Collection[str]) -> Iterator[Document]:
    file = _shown(path)
    try:
        loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
        while loader.check_node():
            node = loader.get_node()
            if node is not None and node.tag != _NULL:
                yield _read_document(loader, node, file, environment, frameworks)
    except RecursionError:
        yield _unread(file, Fault(file, 1, "nested too deeply"))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        yield _unread(file, Fault(file, line, f"not YAML: {error.problem}"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        yield _unread(file, Fault(file, 1, f"cannot be read: {error}"))


def _read_document(
    loader: yaml.SafeLoader,
    node: yaml.Node,
    file: str,
    environment: Mapping[str, str],
    frameworks: Collection[str],
) -> Document:
    first = node.start_mark.line + 1
    if _count(node, {}) > _MANY_VALUES:
        reason = f"more than {_MANY_VALUES} values, or an alias inside what it stands for"
        return _unread(file, Fault(file, first, reason))
    agent_id, framework = _named(node, "metadata", "name"), _named(node, "spec", "framework")
    definition: AgentDefinition | None = None
    faults: tuple[Fault, ...] = ()
    try:
        if not isinstance(node, yaml.MappingNode):
            raise _Faulty(Fault(file, first, "not a mapping of apiVersion, kind, metadata and spec"))
        if found := [*_substitute(node, file, environment), *_repeated(node, file)]:
            raise _Faulty(*found)
        value = loader.construct_document(node)
        try:
            definition = AgentDefinition.model_validate(value, context={FRAMEWORKS_HERE: frameworks})
        except ValidationError as error:
            details = error.errors(include_url=False)
            raise _Faulty(*(Fault(file, _line(node, e["loc"]), _reason(e)) for e in details)) from error
    except _Faulty as error:
        faults = error.faults
    return Document(file, first, agent_id or Path(file).stem, framework or "", definition, faults, node)


def _unread(file: str, fault: Fault) -> Document:
    return Document(file, fault.line, Path(file).stem, "", None, (fault,))


def _shown(path: Path) -> str:
    """Return the path as a person would name it: from the working directory, if it is below."""
    try:
        return encodable(str(path.resolve().relative_to(Path.cwd())))
    except ValueError:
        return encodable(str(path))


def _count(node: yaml.Node, counted: dict[int, float]) -> float:
    """Return how many values a node holds with all that its aliases stand for; infinity where one holds itself."""
    if id(node) not in counted:
        counted[id(node)] = math.inf
        inner = [value for _, value in node.value] if isinstance(node, yaml.MappingNode) else node.value
        held = () if isinstance(node, yaml.ScalarNode) else inner
        counted[id(node)] = 1 + sum(_count(value, counted) for value in held)
    return counted[id(node)]


def _substitute(
    node: yaml.Node, file: str, environment: Mapping[str, str], where: tuple[str, ...] = ()
) -> Iterator[Fault]:
    """Put the values of environment variables in, and yield a fault for each that is not set."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _substitute(value, file, environment, (*where, str(key.value)))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from _substitute(value, file, environment, (*where, str(index)))
    elif node.tag == _STRING and (found := list(_VARIABLE.finditer(node.value))):
        for match in found:
            if match[2] is None and not environment.get(match[1]):
                field_name = ".".join(where)
                reason = f"{field_name}: the environment variable {match[1]} is not set, and there is no default"
                yield Fault(file, node.start_mark.line + 1, reason, match[1])
        node.value = _VARIABLE.sub(lambda match: environment.get(match[1]) or match[2] or "", node.value)
        if not node.value:
            node.tag = _NULL


def _repeated(node: yaml.Node, file: str) -> Iterator[Fault]:
    """Yield a fault for each key that a mapping has twice: YAML's reader would take the last one silently."""
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if isinstance(key, yaml.ScalarNode) and (before := seen.setdefault(key.value, line)) != line:
                yield Fault(file, line, f"{key.value}: given before, in line {before}")
            yield from _repeated(value, file)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _repeated(value, file)


def _named(node: yaml.Node, *path: str) -> str | None:
    """Return the scalar at a path of keys, if the document is whole enough to have it."""
    for name in path:
        child = _child(node, name)
        if child is None:
            return None
        node = child[1]
    return str(node.value) if isinstance(node, yaml.ScalarNode) and node.value else None


def _child(node: yaml.Node, name: str | int) -> tuple[int, yaml.Node] | None:
    """Return the line, from 1, and value that a mapping has for a key, or a sequence at an index."""
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value == str(name):
                return key.start_mark.line + 1, value
    elif isinstance(node, yaml.SequenceNode) and isinstance(name, int) and name < len(node.value):
        value = node.value[name]
        return value.start_mark.line + 1, value
    return None


def _line(node: yaml.Node, location: tuple[str | int, ...]) -> int:
    """Return the line, from 1, of what pydantic found at fault: of what holds it, if it is not there at all."""
    line = node.start_mark.line + 1
    for name in location:
        child = _child(node, name)
        if child is None:
            break
        line, node = child
    return line


def _reason(error: ErrorDetails) -> str:
    """Pydantic's finding, for a person who does not know pydantic."""
    where = ".".join(str(part) for part in error["loc"])
    given: Any = error["input"]
    if error["type"] == UNKNOWN_FRAMEWORK:
        return f"{where}: {error['msg']}"
    if error["type"] == "missing":
        return f"{where}: is missing"
    if error["type"] == "extra_forbidden":
        return f"{where}: there is no such field{_meant(error['loc'])}"
    if error["loc"] == ("metadata", "name"):
        return f"{where}: {given!r} is not an id: lower-case letters, digits and hyphens, 63 at most"
    if error["loc"][-1] in ("entrypoint", "function") and error["type"] == "string_pattern_mismatch":
        return f"{where}: {given!r} is not of the form package.module:object"
    if error["type"] == "value_error":
        # What was given is a whole mapping, which may hold a secret.
        return f"{where}: {error['ctx']['error']}"
    if "headers" in error["loc"] or "env" in error["loc"]:
        return f"{where}: {error['msg'][:1].lower()}{error['msg'][1:]}"
    return f"{where}: {error['msg'][:1].lower()}{error['msg'][1:]}, not {given!r}"


def _meant(location: tuple[str | int, ...]) -> str:
    """Return a hint at the field of a definition that may be meant by one that is not there."""
    kind: type[BaseModel] | None = AgentDefinition
    for name in location[:-1]:
        if kind is not None and isinstance(name, str):
            field = next((f for known, f in kind.model_fields.items() if name in (known, f.alias)), None)
            kind = _model_in(field.annotation) if field else None
    names = [field.alias or known for known, field in kind.model_fields.items()] if kind else []
    return did_you_mean(str(location[-1]), names)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the model that a field holds, be it one of several or none."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)
