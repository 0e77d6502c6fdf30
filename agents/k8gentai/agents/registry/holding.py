"""Holds back changes of agents that would cost another agent its worker."""

from collections.abc import Iterable, Mapping

from k8gentai.agents.code.fingerprint import unchanged
from k8gentai.agents.registry.registry import RegisteredAgent, Registry


def hold_back(agents: Iterable[RegisteredAgent], kept: Mapping[str, str], before: Registry) -> dict[str, str]:
    """Find agents that are to stay as they were, because others of their framework do.

    Workers are replaced where code that they have loaded was registered otherwise. An agent that is kept, as its
    code lacks a variable there, goes on in a worker that has its earlier code, and no other one could load it.

    Args:
        agents: the agents as they are to be.
        kept: the ids of those that stay as they were, with the reasons.
        before: the agents as they stand.

    Returns:
        Their ids, each with the reason.
    """
    agents = list(agents)
    fragile = {agent.framework: agent.id for agent in agents if agent.id in kept and not unchanged(agent.files)}
    why = "a worker that is started again for it could not load {}: mend that first"
    return {
        agent.id: why.format(fragile[agent.framework])
        for agent in agents
        if agent.framework in fragile and agent.id not in kept and _replaces(agent, before.get(agent.id))
    }


def _replaces(agent: RegisteredAgent, known: RegisteredAgent | None) -> bool:
    """Return whether workers that run an agent would be replaced for its change."""
    return known is not None and known.state == agent.state == "ready" and known.files != agent.files
