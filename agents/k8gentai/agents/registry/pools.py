"""Pools that agents of several frameworks name: a pool's workers run one."""

from collections.abc import Iterable

from k8gentai.agents.registry.definitions import AgentDocument
from k8gentai.agents.resources.faults import Fault


def pool_faults(documents: Iterable[AgentDocument]) -> dict[str, list[Fault]]:
    """Return the faults of ``spec.pool``, by the id of the agent: those of another framework than the first agent
    of their pool has.

    Args:
        documents: the agents', in their order.
    """
    first: dict[str, AgentDocument] = {}
    faults: dict[str, list[Fault]] = {}
    for document in documents:
        pool = document.definition.spec.pool if document.definition else None
        if pool is None:
            continue
        other = first.setdefault(pool, document)
        if other.framework != document.framework:
            reason = (
                f"spec.pool: {pool!r} is the pool of {other.id!r}, an agent of {other.framework}: the workers "
                f"of a pool run one framework, and this agent is of {document.framework}"
            )
            fault = Fault(document.file, document.line_of("spec", "pool"), reason)
            faults.setdefault(document.id, []).append(fault)
    return faults
