"""YAML as it was composed and not yet constructed: a tree of nodes, which know their lines.

``${env.NAME}`` and ``${env.NAME:=default}`` in a value stand for environment variables, as in the run YAML of
Llama Stack (``llama_stack.core.stack.replace_env_vars``): an empty variable counts as one that is not set, and
an empty default is no value at all.
"""

import math
import re
from collections.abc import Iterator, Mapping

import yaml

from k8gentai.agents.resources.faults import Fault

_VARIABLE = re.compile(r"\$\{env\.([A-Za-z0-9_]+)(?::=([^}]*))?\}")
_STRING = "tag:yaml.org,2002:str"
NULL = "tag:yaml.org,2002:null"

_AS_WRITTEN = {("status",), ("metadata", "annotations"), ("metadata", "managedFields")}
"""The fields that a cluster writes: ``kubectl apply`` puts the whole resource into an annotation, variables and
all."""


def line_of(node: yaml.Node, location: tuple[str | int, ...]) -> int:
    """Return the line, from 1, of a field: of what holds the field, if it is not there at all."""
    line = node.start_mark.line + 1
    for name in location:
        found = _child(node, name)
        if found is None:
            break
        line, node = found
    return line


def scalar(node: yaml.Node, *path: str) -> str | None:
    """Return the scalar at a path of keys, if the document is whole enough to have it."""
    for name in path:
        found = _child(node, name)
        if found is None:
            return None
        node = found[1]
    return str(node.value) if isinstance(node, yaml.ScalarNode) and node.value else None


def count(node: yaml.Node, counted: dict[int, float]) -> float:
    """Return how many values a node holds with all that its aliases stand for; infinity where one holds itself.

    Args:
        node: the node.
        counted: the count so far, by the ids of the nodes; at first empty.
    """
    if id(node) not in counted:
        counted[id(node)] = math.inf
        inner = [value for _, value in node.value] if isinstance(node, yaml.MappingNode) else node.value
        held = () if isinstance(node, yaml.ScalarNode) else inner
        counted[id(node)] = 1 + sum(count(value, counted) for value in held)
    return counted[id(node)]


def substitute(
    node: yaml.Node, file: str, environment: Mapping[str, str], where: tuple[str, ...] = ()
) -> Iterator[Fault]:
    """Put the values of environment variables in, and yield a fault for each that is not set."""
    if where in _AS_WRITTEN:
        return
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from substitute(value, file, environment, (*where, str(key.value)))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from substitute(value, file, environment, (*where, str(index)))
    elif node.tag == _STRING and (found := list(_VARIABLE.finditer(node.value))):
        for match in found:
            if match[2] is None and not environment.get(match[1]):
                field_name = ".".join(where)
                reason = f"{field_name}: the environment variable {match[1]} is not set, and there is no default"
                yield Fault(file, node.start_mark.line + 1, reason, match[1])
        node.value = _VARIABLE.sub(lambda match: environment.get(match[1]) or match[2] or "", node.value)
        if not node.value:
            node.tag = NULL


def repeated(node: yaml.Node, file: str) -> Iterator[Fault]:
    """Yield a fault for each key that a mapping has twice: YAML's reader would take the last one silently."""
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if isinstance(key, yaml.ScalarNode) and (before := seen.setdefault(key.value, line)) != line:
                yield Fault(file, line, f"{key.value}: given before, in line {before}")
            yield from repeated(value, file)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from repeated(value, file)


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
