"""Agents that have other agents as tools: whether those are there, and whether one would end up asking itself."""

from collections.abc import Iterable, Mapping

from k8gentai.agents.registry.definitions import AgentDocument
from k8gentai.agents.resources.agent import AgentDefinition
from k8gentai.agents.resources.faults import Fault
from k8gentai.agents.text.suggestion import did_you_mean


def reference_faults(documents: Iterable[AgentDocument]) -> dict[str, list[Fault]]:
    """Return the faults of ``spec.tools.*.agent``, by the id of the agent that has the tool."""
    documents = list(documents)
    known = {document.id for document in documents}
    asked = {d.id: dict(_agents(d.definition)) for d in documents if d.definition}
    faults: dict[str, list[Fault]] = {}
    for document in documents:
        for number, other in asked.get(document.id, {}).items():
            if other not in known:
                reason = f"there is no agent {other!r}{did_you_mean(other, known - {document.id})}"
            elif way := _way(other, document.id, asked):
                reason = f"the agent would ask itself: {' -> '.join([document.id, *way])}"
            else:
                continue
            line = document.line_of("spec", "tools", number, "agent")
            fault = Fault(document.file, line, f"spec.tools.{number}.agent: {reason}")
            faults.setdefault(document.id, []).append(fault)
    return faults


def _agents(definition: AgentDefinition) -> Iterable[tuple[int, str]]:
    """Return the agents among a definition's tools, by their positions."""
    return ((number, tool.agent) for number, tool in enumerate(definition.spec.tools) if tool.agent)


def _way(start: str, end: str, asked: Mapping[str, Mapping[int, str]]) -> list[str] | None:
    """Return the agents by which a question to one comes to another, both included; None where it does not."""
    ways, seen = [[start]], {start}
    for way in ways:
        if way[-1] == end:
            return way
        for other in asked.get(way[-1], {}).values():
            if other not in seen:
                seen.add(other)
                ways.append([*way, other])
    return None
