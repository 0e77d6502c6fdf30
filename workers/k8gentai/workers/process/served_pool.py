"""A pool's turns: taken from Redis, run, kept by leases, and given back where the process ends before they do."""

import asyncio
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog
from redis.asyncio import Redis

from k8gentai.agents.contract.turn import AnyAdapter
from k8gentai.workers.gateway.model_calls import OpenAttempts
from k8gentai.workers.isolation.agent_threads import AgentThreads
from k8gentai.workers.isolation.agents_loop import AgentsLoop, in_loop
from k8gentai.workers.isolation.process_settings import ProcessSettings
from k8gentai.workers.isolation.watchdog import Blocked, Watchdog
from k8gentai.workers.process.harness import Harness
from k8gentai.workers.process.heartbeat import Beat, beat_seconds
from k8gentai.workers.process.last_words import LastWords
from k8gentai.workers.process.memory import Memory
from k8gentai.workers.process.pulse import HUNG_SECONDS, Pulse
from k8gentai.workers.process.relief import Relief
from k8gentai.workers.process.running_turns import Pool
from k8gentai.workers.process.shutdown import LeasesError, Shutdown
from k8gentai.workers.process.turn_log import TurnLog
from k8gentai.workers.process.vitals import Vitals
from k8gentai.workers.queue import keys
from k8gentai.workers.queue.attempts import WITNESS_SECONDS, Attempts, Lease, Leases
from k8gentai.workers.queue.connection import AWAY, connect_blocking
from k8gentai.workers.queue.notifications import Notifications
from k8gentai.workers.queue.rq_worker import TurnWorker
from k8gentai.workers.stack.client import StackClient
from k8gentai.workers.tools.agent_cache import LoadedAgents
from k8gentai.workers.tools.agents import AgentTools
from k8gentai.workers.tools.toolbox import Toolbox

_THREADS = 32

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Process:
    """The parts of a worker's process that are there before its agents are."""

    name: str
    """The worker's name in Redis and logs."""
    connection: Redis
    stack: StackClient
    open_attempts: OpenAttempts
    vitals: Vitals
    shutdown: Shutdown
    last_words: LastWords


@dataclass(frozen=True, kw_only=True)
class PoolTerms:
    """On what terms turns are taken."""

    redis_url: str
    pool: str
    only: Collection[str] | None
    """The ids of the agents whose turns are taken; None for all of the pool."""
    concurrency: int
    """Turns at once."""
    lease_seconds: float
    """The seconds that this process may be silent before its turns are run by another."""
    max_attempts: int
    """The number of workers that a turn may end, each alone in it."""


class ServedPool:
    """Takes a pool's turns and runs them. To be made in the process's main loop.

    Args:
        terms: on which turns are taken.
        process: the process that it runs in.
        adapter: of the framework.
        agents: the framework's, imported.
        memory: looks how large the process is.
    """

    def __init__(
        self, terms: PoolTerms, process: Process, adapter: AnyAdapter, agents: LoadedAgents, memory: Memory
    ) -> None:
        self._terms = terms
        self._process = process
        self._adapter = adapter
        self._agents = agents
        self._memory = memory
        self._loop = asyncio.get_running_loop()
        self._watchdog: Watchdog | None = None
        """The watchdog of the agents' loop; None while that does not run."""
        # Blocking tools and nodes run in its threads; asyncio's own pool has few more than the machine has cores.
        self._threads = AgentThreads(max(_THREADS, terms.concurrency), self._on_threads_held)
        self._agents_loop = AgentsLoop(self._threads)
        self._toolbox = Toolbox(AgentTools(agents, process.stack))
        attempts = Attempts(
            process.connection, terms.pool, process.name, lease_seconds=terms.lease_seconds, only=terms.only
        )
        self._pool = Pool(attempts, self._harness(attempts), terms.concurrency)
        self._relief = Relief(self._pool, process.shutdown.replace_blocked)
        periods = round(HUNG_SECONDS / beat_seconds(terms.lease_seconds))
        self._pulse = Pulse(periods, process.last_words.end)
        blocking = connect_blocking(terms.redis_url)
        self._registration = TurnWorker(terms.pool, process.name, blocking, agents.missing, terms.only)
        leases = Leases(
            blocking,
            terms.pool,
            lease_seconds=terms.lease_seconds,
            max_attempts=terms.max_attempts,
            witness_seconds=WITNESS_SECONDS,
        )
        self._beat = Beat(
            leases,
            self._registration,
            running=self._pool.leases,
            on_lost=self._on_lost,
            on_beat=self._on_beat,
            on_end=process.shutdown.lose_leases,
            lease_seconds=terms.lease_seconds,
        )

    async def serve(self) -> bool:
        """Run turns until the process is to end.

        Returns:
            Whether it has some yet that it could not give back.

        Raises:
            LeasesError: leases could not be kept.
        """
        shutdown = self._process.shutdown
        await self._start()
        stop = asyncio.create_task(shutdown.wanted.wait())
        taking = asyncio.create_task(self._pool.take())
        watching = asyncio.create_task(self._agents.watch(beat_seconds(self._terms.lease_seconds)))
        try:
            cancelled = keys.WORKER + self._process.name
            with Notifications(self._process.connection).listening(cancelled, self._pool.drop_cancelled):
                await asyncio.wait({stop, taking}, return_when=asyncio.FIRST_COMPLETED)
                taking.cancel()
                await self._pool.drain(shutdown.grace_seconds)
        finally:
            await self._stop()
            await _end(stop, taking, watching)
        if shutdown.leases_lost:
            raise LeasesError
        return self._pool.kept

    async def _start(self) -> None:
        self._agents_loop.start()
        self._watchdog = await in_loop(self._agents_loop.loop, self._watchdog_here())
        try:
            self._registration.register()
        except AWAY as error:
            # The beat registers as soon as Redis takes it.
            log.warning("redis_away", error=str(error))
        self._beat.start()
        self._watchdog.start()
        known = {"worker": self._process.name, "framework": self._adapter.framework, "pool": self._terms.pool}
        log.info("worker_ready", **known, concurrency=self._terms.concurrency)

    async def _stop(self) -> None:
        if self._watchdog is not None:
            self._watchdog.stop()
        await self._agents_loop.stop()
        self._beat.stop()
        self._process.vitals.stop()
        with suppress(*AWAY):
            self._registration.unregister()
        await self._toolbox.close()

    def _harness(self, attempts: Attempts) -> Harness:
        return Harness(
            self._adapter,
            self._agents,
            self._toolbox,
            attempts,
            self._process.open_attempts,
            self._process.stack,
            lambda: self._watchdog.blocked if self._watchdog is not None else None,
            self._agents_loop,
            ProcessSettings(),
            self._process.vitals,
            [TurnLog()],
        )

    async def _watchdog_here(self) -> Watchdog:
        """Return a watchdog of the loop that awaits this."""
        return Watchdog(on_blocked=self._on_blocked, alive=self._process.last_words.alive)

    def _on_blocked(self, blocked: Blocked | None) -> None:
        """Have the blocked loop relieved. From the watchdog's thread."""
        self._loop.call_soon_threadsafe(self._relief.take, blocked)

    def _on_lost(self, lost: list[Lease]) -> None:
        """Drop turns whose leases are others' by now. From the beat's thread."""
        self._loop.call_soon_threadsafe(self._pool.drop, lost)

    def _on_threads_held(self) -> None:
        """End the process, whose threads agents' code holds. From any thread."""
        self._loop.call_soon_threadsafe(self._process.shutdown.replace_blocked)

    def _on_beat(self) -> None:
        """Look after the process. From the beat's thread."""
        self._pulse.look()
        self._memory.look()
        self._threads.look()
        self._process.vitals.look()


async def _end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait for their ends.

    Raises:
        Exception: what one of them raised.
    """
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, Exception):
            raise outcome
