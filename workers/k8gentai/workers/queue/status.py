"""The state of the worker pools: who runs, and what waits for them."""

import json
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from k8gentai.workers.queue import keys


@dataclass(frozen=True)
class LiveWorker:
    """A worker process that is alive."""

    pool: str
    only: frozenset[str] | None = None
    """The ids of the agents that it serves; None for all of its pool."""


class Workers(list[LiveWorker]):
    """Worker processes."""

    def of(self, pool: str) -> int:
        """Return how many a pool has."""
        return sum(worker.pool == pool for worker in self)

    def serving(self, pool: str, agent_id: str) -> int:
        """Return how many of a pool run an agent's turns."""
        return sum(worker.pool == pool and (worker.only is None or agent_id in worker.only) for worker in self)


class Pools:
    """The pools as Redis knows them.

    Every method may raise one of :data:`k8gentai.workers.queue.connection.AWAY` when Redis is away.

    Args:
        redis: a client from :func:`k8gentai.workers.queue.connection.connect`.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis: Any = redis

    async def waiting(self) -> dict[str, int]:
        """Return how many turns of each agent are queued; agents without any are left out."""
        counts: dict[bytes, bytes] = await self._redis.hgetall(keys.WAITING)
        return {name.decode(): int(count) for name, count in counts.items() if name.decode() != keys.ALL_AGENTS}

    async def workers(self) -> "Workers":
        """Return the worker processes that are alive; a killed one counts until its heartbeat is overdue."""
        pools = await self._each(keys.RQ_ALL_WORKERS, "queues")
        served = await self._each(keys.RQ_ALL_WORKERS, keys.SERVED)
        return Workers(
            LiveWorker(pool.decode(), frozenset(json.loads(only)) if (only := served.get(name)) else None)
            for name, pool in pools.items()
            if pool
        )

    async def missing(self, pool: str, agent_id: str) -> dict[str, str]:
        """Return the living workers of a pool that cannot import an agent, each with the reason."""
        found: dict[str, str] = {}
        for name, told in (await self._each(keys.RQ_WORKERS + pool, keys.MISSING)).items():
            if told and (reason := json.loads(told).get(agent_id)):
                found[_name(name)] = reason
        return found

    async def unable(self, pool: str, agent_id: str) -> dict[str, str]:
        """Return why none of a pool's living workers that serve an agent can import it, as :meth:`missing` does;
        nothing where one can, or where none lives that serves it."""
        missing = await self.missing(pool, agent_id)
        if not missing:
            return {}
        living = await self._each(keys.RQ_WORKERS + pool, "queues")
        served = await self._each(keys.RQ_WORKERS + pool, keys.SERVED)
        able = [
            name
            for name, queues in living.items()
            if queues and _name(name) not in missing and _serves(served.get(name), agent_id)
        ]
        return {} if able else missing

    async def _each(self, workers: str, field: str) -> dict[bytes, bytes | None]:
        """Return a field of each worker of a set, by the worker's key; None where it has none, or is dead."""
        names: list[bytes] = list(await self._redis.smembers(workers))
        async with self._redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.hget(name, field)
            return dict(zip(names, await pipe.execute(), strict=True))


def _serves(only: bytes | None, agent_id: str) -> bool:
    return not only or agent_id in json.loads(only)


def _name(key: bytes) -> str:
    return key.decode().removeprefix(keys.RQ_WORKER)
