"""Reads resources from YAML files, each by the model of its kind, and says of each fault in which line it is."""

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from k8gentai.agents.resources.faults import Fault, meant, reason, unknown
from k8gentai.agents.resources.files import shown_path, yaml_files
from k8gentai.agents.resources.kinds import KINDS
from k8gentai.agents.resources.nodes import NULL, count, line_of, repeated, scalar, substitute
from k8gentai.agents.resources.not_used import Location, fields_not_used
from k8gentai.agents.resources.resource import API_VERSION, KEPT_BY_KUBERNETES, Metadata, Resource
from k8gentai.agents.text.suggestion import nearest

_MANY_VALUES = 10_000
"""More than a resource can mean to have. An alias counts as all that it stands for."""
_HEAD = (("apiVersion",), ("kind",))


@dataclass(frozen=True)
class Document:
    """One YAML document: a resource, or the faults that keep it from being one."""

    file: str
    line: int
    kind: str
    """The kind as the document names it; empty where it names none."""
    name: str
    """The name it gives itself; the file's where it gives none."""
    resource: Resource | None
    faults: tuple[Fault, ...] = ()
    unknown_metadata: tuple[str, ...] = ()
    """The fields of its ``metadata`` that neither it nor Kubernetes is known to have."""
    node: yaml.Node | None = field(default=None, repr=False, compare=False)

    def line_of(self, *path: str | int) -> int:
        """Return the line of a field: of what holds it, if it is not there."""
        return line_of(self.node, path) if self.node else self.line

    def scalar(self, *path: str) -> str | None:
        """Return the text at a path of keys, if the document is whole enough to have it."""
        return scalar(self.node, *path) if self.node else None

    def not_used(self) -> str | None:
        """Return a line for each field that nothing reads: its place and name; None where there are none."""
        if self.resource is None:
            return None
        unknown_names: list[tuple[Location, str]] = [
            (("metadata", name), f"there is no such field{meant((name,), Metadata)}")
            for name in self.unknown_metadata
        ]
        found = [*unknown_names, *fields_not_used(self.resource)]
        placed = sorted((self.line_of(*where), ".".join(map(str, where)), why) for where, why in found)
        named = (f"{self.file}:{line}: {name}{f': {why}' if why else ''}" for line, name, why in placed)
        return "\n".join(named) or None


class _Faulty(Exception):  # noqa: N818 - carries faults to the one who reports them
    def __init__(self, *faults: Fault) -> None:
        self.faults = faults


def read_documents(
    directory: Path,
    environment: Mapping[str, str] = os.environ,
    *,
    kinds: Mapping[str, type[Resource]] = KINDS,
    context: Mapping[str, Any] | None = None,
) -> list[Document]:
    """Read every ``*.yaml`` and ``*.yml`` under a directory, in the order of their paths.

    Links are followed; a file that is there by several paths is read once.

    Args:
        directory: the directory.
        environment: the variables that values may name.
        kinds: the model of each kind.
        context: the context for the models' validators.

    Raises:
        NotADirectoryError: there is no such directory.
    """
    reader = _Reader(environment, kinds, dict(context or {}))
    return [document for path in yaml_files(directory) for document in reader.read(path)]


def empty_files(directory: Path, documents: Iterable[Document]) -> list[str]:
    """Return the files that :func:`read_documents` reads under a directory and found no document in.

    Args:
        directory: the directory.
        documents: the documents that were read there.

    Raises:
        NotADirectoryError: there is no such directory.
    """
    filled = {document.file for document in documents}
    return [file for path in yaml_files(directory) if (file := shown_path(path)) not in filled]


class _Reader:
    """Reads files, all on the same terms."""

    def __init__(
        self, environment: Mapping[str, str], kinds: Mapping[str, type[Resource]], context: dict[str, Any]
    ) -> None:
        self._environment = environment
        self._kinds = kinds
        self._context = context

    def read(self, path: Path) -> Iterator[Document]:
        file = shown_path(path)
        try:
            loader = yaml.SafeLoader(path.read_text(encoding="utf-8"))
            while loader.check_node():
                node = loader.get_node()
                if node is not None and node.tag != NULL:
                    yield self._document(loader, node, file)
        except RecursionError:
            yield _unread(file, Fault(file, 1, "nested too deeply"))
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            yield _unread(file, Fault(file, line, f"not YAML: {error.problem}"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            yield _unread(file, Fault(file, 1, f"cannot be read: {error}"))

    def _document(self, loader: yaml.SafeLoader, node: yaml.Node, file: str) -> Document:
        first = node.start_mark.line + 1
        if count(node, {}) > _MANY_VALUES:
            much = f"more than {_MANY_VALUES} values, or an alias inside what it stands for"
            return _unread(file, Fault(file, first, much))
        resource: Resource | None = None
        faults: tuple[Fault, ...] = ()
        unknown_metadata: tuple[str, ...] = ()
        try:
            value = self._value(loader, node, file)
            resource = self._resource(value, node, file)
            unknown_metadata = _unknown_metadata(value)
        except _Faulty as error:
            faults = error.faults
        # Afterwards: variables stand for names, too.
        kind, name = scalar(node, "kind") or "", scalar(node, "metadata", "name") or Path(file).stem
        return Document(file, first, kind, name, resource, faults, unknown_metadata, node)

    def _value(self, loader: yaml.SafeLoader, node: yaml.Node, file: str) -> dict[Any, Any]:
        """Return what a document holds, with the values of environment variables.

        Raises:
            _Faulty: it is no mapping, a variable is missing, or a key is there twice.
        """
        if not isinstance(node, yaml.MappingNode):
            wanted = "a mapping of apiVersion, kind, metadata and spec"
            raise _Faulty(Fault(file, node.start_mark.line + 1, f"not {wanted}"))
        if found := [*substitute(node, file, self._environment), *repeated(node, file)]:
            raise _Faulty(*found)
        value: dict[Any, Any] = loader.construct_document(node)
        return value

    def _resource(self, value: dict[Any, Any], node: yaml.Node, file: str) -> Resource:
        """Return the resource that a document holds.

        Raises:
            _Faulty: it holds none.
        """
        faults = [
            Fault(file, line_of(node, (name,)), said)
            for name, known in (("apiVersion", [API_VERSION]), ("kind", list(self._kinds)))
            if (said := _wrong_head(name, value, known))
        ]
        model = self._model(value.get("kind"))
        if model is not None:
            try:
                resource = model.model_validate(value, context=self._context)
            except ValidationError as error:
                details = [e for e in error.errors(include_url=False) if e["loc"] not in _HEAD]
                faults += (Fault(file, line_of(node, e["loc"]), reason(e, model)) for e in details)
        if faults or model is None:
            raise _Faulty(*faults)
        return resource

    def _model(self, kind: object) -> type[Resource] | None:
        """Return the model of a kind, or of the one that is probably meant: all faults are to be named at once."""
        named = kind if isinstance(kind, str) else ""
        return self._kinds.get(named) or self._kinds.get(nearest(named, self._kinds) or "")


def _wrong_head(name: str, value: Mapping[Any, Any], known: list[str]) -> str | None:
    """Return what is wrong with the ``apiVersion`` or ``kind`` of a document; None where nothing is."""
    if name not in value:
        return f"{name}: is missing"
    given = value[name]
    return None if isinstance(given, str) and given in known else unknown(name, given, known)


def _unknown_metadata(value: Mapping[Any, Any]) -> tuple[str, ...]:
    known = KEPT_BY_KUBERNETES.union(Metadata.model_fields)
    return tuple(name for name in map(str, value["metadata"]) if name not in known)


def _unread(file: str, fault: Fault) -> Document:
    return Document(file, fault.line, "", Path(file).stem, None, (fault,))
