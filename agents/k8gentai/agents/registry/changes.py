"""Compares the agents of a new check with those that stand in the registry."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from k8gentai.agents.registry.registry import RegisteredAgent


@dataclass(frozen=True)
class Changes:
    """The ids of the agents that differ between two registries, each list in order."""

    new: list[str]
    changed: dict[str, str]
    """Each with its state: ``ready``, or ``ready -> broken`` where that changed."""
    gone: list[str]
    same: int
    """The number of agents that stand as they stood."""
    kept: Mapping[str, str] = field(default_factory=dict)
    """Agents that stand as they stood because a variable of the environment is missing, or several definitions
    have their id, with the faults."""
    refused: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Ids for which there are further definitions that were not taken, with the faults."""
    undefined: Mapping[str, str] = field(default_factory=dict)
    """Agents that were ready and whose definitions are none any more, with the faults; where it is not known which
    were, all whose definitions are none."""
    was_read: bool = True
    """Whether the agents that there were are known: the registry could be read, or there was none."""
    defines: bool = True
    """Whether the new registry holds an agent whose definition is one."""
    empty: Sequence[str] = field(default_factory=list)
    """The files of definitions in which there is none."""
    faulty: Sequence[str] = field(default_factory=list)
    """The faults of resources that are no agents."""
    new_broken: Sequence[str] = field(default_factory=list)
    """Those of the new agents that are broken."""

    @property
    def is_none(self) -> bool:
        """Whether every agent stands as it stood."""
        return not (self.new or self.changed or self.gone)

    @property
    def empties(self) -> bool:
        """Whether more than half of the agents there were are gone or no longer defined; whether none is defined,
        where it is not known which there were."""
        if not self.was_read:
            return not self.defines
        before = len(self.gone) + len(self.changed) + self.same
        return (len(self.gone) + len(self.undefined)) * 2 > before


def changes(
    before: Iterable[RegisteredAgent],
    after: Iterable[RegisteredAgent],
    kept: Mapping[str, str],
    refused: Mapping[str, Sequence[str]],
    *,
    empty: Sequence[str],
    faulty: Sequence[str] = (),
    was_read: bool = True,
) -> Changes:
    """Compare two registries.

    Args:
        before: the agents as they stand.
        after: the agents as they are to be.
        kept: see :attr:`Changes.kept`.
        refused: see :attr:`Changes.refused`.
        empty: see :attr:`Changes.empty`.
        faulty: see :attr:`Changes.faulty`.
        was_read: see :attr:`Changes.was_read`.
    """
    old, new = {agent.id: agent for agent in before}, {agent.id: agent for agent in after}
    both = sorted(old.keys() & new.keys())

    def is_undefined(agent: RegisteredAgent) -> bool:
        was_ready = agent.id in old and old[agent.id].state == "ready"
        return agent.definition is None and (was_ready or not was_read)

    changed = {name: _state(old[name], new[name]) for name in both if _content(old[name]) != _content(new[name])}
    added = sorted(new.keys() - old.keys())
    return Changes(
        new=added,
        new_broken=[name for name in added if new[name].state == "broken"],
        changed=changed,
        gone=sorted(old.keys() - new.keys()),
        same=len(both) - len(changed),
        kept=kept,
        refused=refused,
        undefined={name: agent.error or "" for name, agent in sorted(new.items()) if is_undefined(agent)},
        was_read=was_read,
        defines=any(agent.definition is not None for agent in new.values()),
        empty=empty,
        faulty=faulty,
    )


def _content(agent: RegisteredAgent) -> tuple[object, ...]:
    return agent.state, agent.digest, agent.error


def _state(before: RegisteredAgent, after: RegisteredAgent) -> str:
    return after.state if before.state == after.state else f"{before.state} -> {after.state}"
