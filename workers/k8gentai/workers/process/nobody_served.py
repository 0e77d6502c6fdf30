"""Says at the start of a worker that nothing comes to it as yet, as where the name of its pool is mistyped."""

from collections.abc import Collection, Iterable

import structlog

from k8gentai.agents.registry.registry import RegisteredAgent
from k8gentai.agents.text.suggestion import did_you_mean

log = structlog.get_logger(__name__)


def warn_if_nobody_is_served(
    agents: Iterable[RegisteredAgent], framework: str, pool: str, only: Collection[str] | None
) -> None:
    """Log a warning where no agent is registered that a worker of a named pool, or of named agents, serves. The
    worker goes on: they may be registered later.

    Args:
        agents: those that are registered.
        framework: the worker's.
        pool: the worker's; that of the framework serves whatever comes, where no agents are named.
        only: the ids of the agents that the worker serves; None for all of the pool.
    """
    pools = {agent.id: agent.pool for agent in agents if agent.framework == framework}
    in_pool = [name for name, of in pools.items() if of == pool]
    if (pool == framework and only is None) or any(only is None or name in only for name in in_pool):
        return
    if in_pool:
        why = f"the pool '{pool}' has none of these agents"
    else:
        why = f"no agent of '{framework}' is in the pool '{pool}'{did_you_mean(pool, set(pools.values()))}"
    log.warning(
        "serves_no_agent_yet",
        pool=pool,
        agents=None if only is None else sorted(only),
        why=why,
        do="this worker waits until one that it serves is registered",
    )
