"""The kit that a framework brings to the checks: a directory with its agents, and what it cannot do.

The agents are definitions with these ids; their code is written as the framework's own documentation writes it::

    plain       a model, no tools
    calculator  the tools add, multiply and fail
    scribe      the tools write and linger
    raising     its own code raises RuntimeError("broken on purpose") when a turn begins

The tools are the functions of :mod:`k8gentai.stack.conformance.tools`, wrapped as the framework wants it. Other
agents that checks need are made of these: see :data:`_DERIVED`. ``cannot.toml`` beside them, if there is one,
names capabilities that the framework cannot have, and why::

    "arguments of tool calls piece by piece" = "The framework hands a call on when it is whole."
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from k8gentai.stack.conformance import tools
from k8gentai.stack.conformance.capabilities import Capability
from k8gentai.stack.environments.installed import SetUpError

CANNOT = "cannot.toml"
AGENTS = ("plain", "calculator", "scribe", "raising")

SECONDS = 1.5
"""The seconds that a turn of the agent ``hasty`` may take."""
STEPS = 3
"""The number of model calls that a turn of the agent ``stepper`` may make."""

_WITHOUT: dict[str, tuple[Capability, ...]] = {
    "calculator": (Capability.TOOLS,),
    "scribe": (Capability.TOOLS,),
    "raising": (Capability.AGENT_FAILURE,),
}
"""Agents that a framework need not bring, if it cannot have the capability."""

_DERIVED: dict[str, tuple[str, dict[str, Any]]] = {
    "hasty": ("plain", {"limits": {"seconds": SECONDS}}),
    "stepper": ("calculator", {"limits": {"steps": STEPS}}),
    "guarded": ("scribe", {"tools": [{"name": "write", "approval": "required"}]}),
    "impatient": (
        "scribe",
        {"tools": [{"name": "write", "approval": "required"}], "limits": {"approvalSeconds": 0.001}},
    ),
}
"""Agents that are another one's code with more in its definition: its id, and what is added to ``spec``."""

_DECLARED: dict[str, tuple[Capability, dict[str, Any]]] = {
    "declared": (
        Capability.DECLARED,
        {
            "displayName": "Librarian",
            "systemPrompt": "You know every book.",
            "model": {"name": "${env.INFERENCE_MODEL}", "topP": 0.5},
        },
    ),
    "declared-tools": (
        Capability.DECLARED_TOOLS,
        {
            "model": {"name": "${env.INFERENCE_MODEL}"},
            "tools": [
                {"name": name, "function": f"{tools.__name__}:{name}"} for name in ("add", "write", "picture")
            ],
        },
    ),
}
"""Agents without code, which are the same in every framework: what each shows, and its ``spec``."""


@dataclass(frozen=True)
class Kit:
    """The agents of a framework, and the capabilities that it does not have."""

    framework: str
    definitions: Mapping[str, Mapping[str, Any]]
    """The agents' definitions as their YAML has them, by id; the derived ones too."""
    cannot: Mapping[Capability, str]
    """The capabilities that the framework does not have, and why."""

    def why_not(self, capabilities: tuple[Capability, ...]) -> str | None:
        """Return why the framework cannot have one of these; None where it can have all."""
        return next((self.cannot[capability] for capability in capabilities if capability in self.cannot), None)

    def write(self, directory: Path) -> None:
        """Write a file for each definition."""
        directory.mkdir(parents=True, exist_ok=True)
        for agent_id, definition in self.definitions.items():
            (directory / f"{agent_id}.yaml").write_text(yaml.safe_dump(dict(definition), sort_keys=False))


def read_kit(directory: Path) -> Kit:
    """Read what a framework brings.

    Raises:
        SetUpError: a file is missing, cannot be read, or says what cannot be.
    """
    cannot = read_cannot(directory)
    found = _read_definitions(directory)
    for agent_id in AGENTS:
        if agent_id not in found and not any(c in cannot for c in _WITHOUT.get(agent_id, ())):
            raise SetUpError(f"{directory}: there is no agent '{agent_id}'; there must be {', '.join(AGENTS)}.")
    frameworks = sorted({str(definition["spec"].get("framework")) for definition in found.values()})
    if len(frameworks) != 1:
        raise SetUpError(f"{directory}: the agents are of several frameworks: {', '.join(frameworks)}.")
    head = {name: found["plain"][name] for name in ("apiVersion", "kind")}
    for agent_id, (base, more) in _DERIVED.items():
        if base in found:
            found[agent_id] = _with_more(head, agent_id, found[base]["spec"], more)
    for agent_id, (capability, spec) in _DECLARED.items():
        if capability not in cannot:
            found[agent_id] = _with_more(head, agent_id, {"framework": frameworks[0]}, spec)
    return Kit(frameworks[0], found, cannot)


def read_cannot(directory: Path) -> dict[Capability, str]:
    """Return what a framework declares that it cannot do, and why.

    Raises:
        SetUpError: the file cannot be read, names no capability, or gives no reason.
    """
    path = directory / CANNOT
    if not path.exists():
        return {}
    try:
        declared = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SetUpError(f"{path}: {error}") from error
    known = {str(capability) for capability in Capability}
    for name, reason in declared.items():
        if name not in known:
            raise SetUpError(f"{path}: '{name}' is no capability; known are: {', '.join(Capability)}.")
        if not isinstance(reason, str) or not reason.strip():
            raise SetUpError(f"{path}: '{name}' has no reason.")
    return {Capability(name): reason for name, reason in declared.items()}


def _read_definitions(directory: Path) -> dict[str, dict[str, Any]]:
    """Return the definitions of a directory, by id."""
    if not directory.is_dir():
        raise SetUpError(f"{directory}: there is no such directory of agents.")
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(directory.glob("*.yaml")):
        try:
            definition = yaml.safe_load(path.read_text(encoding="utf-8"))
            found[definition["metadata"]["name"]] = {**definition, "spec": dict(definition["spec"])}
        except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
            raise SetUpError(f"{path}: it is no agent's definition ({error!r}).") from error
    return found


def _with_more(
    head: Mapping[str, Any], agent_id: str, spec: Mapping[str, Any], more: Mapping[str, Any]
) -> dict[str, Any]:
    """Return a definition with more in its ``spec``: tools are added by name, the rest is replaced."""
    known = {tool["name"]: dict(tool) for tool in spec.get("tools", ())}
    for tool in more.get("tools", ()):
        known[tool["name"]] = {**known.get(tool["name"], {}), **tool}
    whole = {**spec, **more, **({"tools": list(known.values())} if known else {})}
    return {**head, "metadata": {"name": agent_id}, "spec": whole}
