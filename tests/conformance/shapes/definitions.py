"""The definitions of a framework's shapes: each as it is, guarded, in a structure, and as another agent's tool."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.conformance.shapes.shape import Shape, shapes_of

_MODEL = {"name": "${env.INFERENCE_MODEL}"}


def write_definitions(framework: str, directory: Path) -> None:
    """Write a file for each agent of a framework's shapes, beside those of the conformance suite.

    Raises:
        FileExistsError: one of those has the same id.
    """
    for shape in shapes_of(framework):
        for agent_id, spec in _specs(shape):
            definition = {
                "apiVersion": "kagent.dev/v1alpha1",
                "kind": "Agent",
                "metadata": {"name": agent_id},
                "spec": {"framework": framework, "model": _MODEL, **spec},
            }
            with (directory / f"{agent_id}.yaml").open("x") as file:
                yaml.safe_dump(definition, file, sort_keys=False)


def agents_of(framework: str) -> set[str]:
    """The ids of the agents of a framework's shapes."""
    return {agent_id for shape in shapes_of(framework) for agent_id, _ in _specs(shape)}


def _specs(shape: Shape) -> Iterator[tuple[str, dict[str, Any]]]:
    spec = {**({"entrypoint": shape.entrypoint} if shape.entrypoint else {}), **shape.spec}
    yield shape.name, spec
    if shape.guarded != shape.name:
        yield shape.guarded, {**spec, "tools": _with_approval(spec.get("tools", []))}
    if shape.structured.entrypoint:
        yield shape.in_structure, {**spec, "entrypoint": shape.structured.entrypoint}
    yield shape.asking, {"tools": [{"name": "colleague", "agent": shape.guarded}]}


def _with_approval(tools: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The tools of a definition, ``pay`` among them with an approval."""
    named = {tool["name"]: tool for tool in tools}
    return list({**named, "pay": {**named.get("pay", {"name": "pay"}), "approval": "required"}}.values())
