"""A worker process: one pool's turns, the model gateway they call, and the heartbeat that keeps them."""

import asyncio
import os
import secrets
import socket
from collections.abc import Callable, Collection
from contextlib import nullcontext, suppress
from typing import Any

import structlog
import uvicorn
from redis.asyncio import Redis
from redis.exceptions import RedisError

from k8gentai.agents.adapters import adapter_for
from k8gentai.agents.contract.turn import AnyAdapter
from k8gentai.agents.registry.named_adapter import AdapterError, load_adapter
from k8gentai.agents.registry.registry import Registry
from k8gentai.workers.gateway.app import gateway
from k8gentai.workers.gateway.attribution import attribute_calls
from k8gentai.workers.gateway.model_calls import OpenAttempts
from k8gentai.workers.gateway.upstream import Upstream
from k8gentai.workers.isolation.agent_threads import AgentThreads
from k8gentai.workers.isolation.agents_loop import AgentsLoop, in_loop
from k8gentai.workers.isolation.child_environment import pass_on_variables
from k8gentai.workers.isolation.containment import contain_files, contain_signals
from k8gentai.workers.isolation.current_attempt import current_attempt
from k8gentai.workers.isolation.forks import end_forks_with_worker
from k8gentai.workers.isolation.own_variables import part_variables
from k8gentai.workers.isolation.process_exits import ENDING_SIGNALS, end_for_certain
from k8gentai.workers.isolation.process_settings import ProcessSettings
from k8gentai.workers.isolation.standard_streams import keep_streams_open
from k8gentai.workers.isolation.thread_context import carry_context
from k8gentai.workers.isolation.watchdog import Blocked, Watchdog
from k8gentai.workers.process.descriptors import raise_limit
from k8gentai.workers.process.harness import Harness
from k8gentai.workers.process.heartbeat import Beat, beat_seconds
from k8gentai.workers.process.last_words import LastWords
from k8gentai.workers.process.memory import Memory, MemoryLimitError
from k8gentai.workers.process.pulse import HUNG_SECONDS, Pulse
from k8gentai.workers.process.relief import Relief
from k8gentai.workers.process.running_turns import Pool
from k8gentai.workers.process.shutdown import LeasesError, Shutdown
from k8gentai.workers.process.turn_log import TurnLog
from k8gentai.workers.process.vitals import Vitals
from k8gentai.workers.process.worker_log import configure_logs, open_log
from k8gentai.workers.queue import keys, preflight
from k8gentai.workers.queue.attempts import (
    LEASE_SECONDS,
    MAX_ATTEMPTS,
    WITNESS_SECONDS,
    Attempts,
    Lease,
    Leases,
)
from k8gentai.workers.queue.connection import AWAY, connect, connect_blocking, masked
from k8gentai.workers.queue.notifications import Notifications
from k8gentai.workers.queue.registry_store import Place, followed_store_at
from k8gentai.workers.queue.rq_worker import TurnWorker
from k8gentai.workers.stack.client import StackClient
from k8gentai.workers.stack.credentials import SignedGrants
from k8gentai.workers.tools.agent_cache import LoadedAgents
from k8gentai.workers.tools.agents import AgentTools
from k8gentai.workers.tools.toolbox import Toolbox

_THREADS = 32
_KEEP_ALIVE_SECONDS = 3600
"""Longer than any client keeps an idle connection: one that takes it just as it is closed loses its call."""
_GATEWAY_VARIABLES = "OPENAI_BASE_URL", "OPENAI_API_KEY"
_PLACEHOLDER_KEY = "amf-worker"
"""What an SDK in agent code finds as its API key. It opens nothing; the gateway goes by the turn's header."""

log = structlog.get_logger(__name__)


class _Server(uvicorn.Server):
    """A server that leaves the process's signals to the worker."""

    def capture_signals(self) -> Any:
        return nullcontext()


def main(
    framework: str,
    *,
    pool: str | None = None,
    only: Collection[str] | None = None,
    adapter: str | None = None,
    redis_url: str,
    stack_url: str,
    registry: Place,
    concurrency: int | None = None,
    grace_seconds: float = 30.0,
    lease_seconds: float = LEASE_SECONDS,
    max_attempts: int = MAX_ATTEMPTS,
    max_memory: int | None = None,
    api_key: str | None = None,
) -> int:
    """Run a worker until SIGTERM or SIGINT.

    Args:
        framework: whose agents to run.
        pool: whose turns to run; None for the pool of the framework's name.
        only: the ids of the agents to serve; None for all of the pool.
        adapter: what names the framework's adapter, where it is not among ours.
        redis_url: as :func:`k8gentai.workers.queue.redis_url.read_url` reads it.
        stack_url: where models are, e.g. ``http://127.0.0.1:8321``.
        registry: where what ``update-registry`` writes is kept.
        concurrency: turns at once; None for what suits the framework.
        grace_seconds: how long running turns may go on after the signal.
        lease_seconds: how long this process may be silent before its turns are run by another.
        max_attempts: how many workers a turn may end, each alone in it.
        max_memory: how large the process may grow, in MB, before it drains; None for as large as it likes.
        api_key: the credential the stack asks for.

    Returns:
        The process's exit code: 0 after a drain, 1 if Redis could not be reached at the start or the process was
        larger than it may grow before its first turn,
        :data:`k8gentai.workers.isolation.process_exits.REPLACE` where it is to be started again.

    Raises:
        LookupError: no such framework.
        AdapterError: the adapter cannot be had, or is another framework's.
        ValueError: a URL of another kind.
        LeasesError: leases could not be kept.
    """
    raise_limit()
    worker = _Worker(
        framework,
        pool or framework,
        only,
        adapter,
        redis_url,
        stack_url,
        Registry(followed_store_at(registry, redis_url)),
        concurrency,
        grace_seconds,
        lease_seconds,
        max_attempts,
        max_memory,
        api_key,
    )
    return worker.run()


class _Worker:
    """One worker process from its start to its end."""

    def __init__(
        self,
        framework: str,
        pool: str,
        only: Collection[str] | None,
        adapter: str | None,
        redis_url: str,
        stack_url: str,
        registry: Registry,
        concurrency: int | None,
        grace_seconds: float,
        lease_seconds: float,
        max_attempts: int,
        max_memory: int | None,
        api_key: str | None,
    ) -> None:
        self._framework = framework
        self._pool = pool
        self._only = only
        self._adapter = adapter
        self._redis_url = redis_url
        self._stack_url = stack_url
        self._registry = registry
        self._concurrency = concurrency
        self._grace_seconds = grace_seconds
        self._lease_seconds = lease_seconds
        self._max_attempts = max_attempts
        self._max_memory = max_memory
        self._api_key = api_key
        self._log = open_log()
        self._name = f"{framework}-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"

    def run(self) -> int:
        """Serve until the end. Returns the process's exit code."""
        self._last_words = LastWords(self._redis_url, self._pool, self._name, self._current_turn)
        try:
            code = asyncio.run(self.serve())
        except BaseException as error:
            self._last_words.raised(error)
            raise
        self._last_words.ended()
        return code

    def _current_turn(self) -> str:
        attempt = current_attempt.get()
        return attempt.turn_id if attempt else ""

    async def serve(self) -> int:
        configure_logs(self._log)
        connection = connect(self._redis_url)
        try:
            await preflight.check(connection)
        except AWAY as error:
            log.error("redis_unreachable", url=masked(self._redis_url), error=str(error))
            return 1
        except (preflight.UnfitError, RedisError) as error:
            log.error("redis_unfit", url=masked(self._redis_url), error=str(error))
            return 1
        shutdown = Shutdown(self._grace_seconds, self._last_words.end)
        loop = asyncio.get_running_loop()

        def stop() -> None:
            self._last_words.stopping()
            shutdown.wanted.set()

        for signum in ENDING_SIGNALS:
            loop.add_signal_handler(signum, stop)
        listening = socket.create_server(("127.0.0.1", 0))
        host, port = listening.getsockname()
        open_attempts = OpenAttempts(f"http://{host}:{port}/v1")
        self._prepare_environment(open_attempts.base_url, host, port)
        stack = StackClient(self._stack_url, SignedGrants(self._api_key, connection))
        server = _Server(
            uvicorn.Config(
                gateway(open_attempts, Upstream(stack)),
                log_config=None,
                lifespan="off",
                access_log=False,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            )
        )
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        vitals = Vitals(host, port, shutdown.replace)
        try:
            kept = await self._work(connection, stack, open_attempts, vitals, shutdown)
            # What remains may take too long.
            self._last_words.ended(kept=kept)
        except BaseException as error:
            self._last_words.raised(error)
            raise
        finally:
            end_for_certain(shutdown.exit_code)
            server.should_exit = True
            await serving
            await stack.close()
            await connection.aclose()
        return shutdown.exit_code

    def _prepare_environment(self, base_url: str, host: str, port: int) -> None:
        """Point model SDKs in agent code at the gateway. Before any agent is imported."""
        os.environ.update(zip(_GATEWAY_VARIABLES, (base_url, _PLACEHOLDER_KEY), strict=True))
        part_variables()
        pass_on_variables()
        attribute_calls(host, port)
        carry_context()
        contain_signals()
        contain_files()
        keep_streams_open()
        end_forks_with_worker()

    def _load_adapter(self) -> AnyAdapter:
        if self._adapter is None:
            return adapter_for(self._framework)
        adapter = load_adapter(self._adapter)
        if adapter.framework != self._framework:
            raise AdapterError(f"{self._adapter} is the adapter of {adapter.framework!r}, not {self._framework!r}")
        return adapter

    async def _work(
        self,
        connection: Redis,
        stack: StackClient,
        open_attempts: OpenAttempts,
        vitals: Vitals,
        shutdown: Shutdown,
    ) -> bool:
        """Run turns until the process is to end. Returns whether it has some yet that it could not give back."""
        self._last_words.starting(f"the import of {self._framework}")
        adapter = self._load_adapter()

        def on_stale(files: list[str]) -> None:
            log.warning("code_changed", files=files, do="this worker ends with exit code 75, to be started again")
            shutdown.replace()

        agents = LoadedAgents(self._registry, adapter, on_stale, pool=self._pool, only=self._only)
        failed = await agents.warm(self._last_words.starting)
        self._last_words.starting("the registration")
        configure_logs(self._log)
        for agent_id, error in failed:
            log.error("agent_unavailable", agent=agent_id, error=str(error))
        memory = Memory(self._max_memory, shutdown.replace)
        try:
            memory.check()
        except MemoryLimitError as error:
            log.error("memory_limit_too_low", error=str(error))
            shutdown.exit_code = 1
            return False
        attempts = Attempts(connection, self._pool, self._name, lease_seconds=self._lease_seconds)
        toolbox = Toolbox(AgentTools(agents, stack))
        concurrency = self._concurrency or adapter.default_concurrency
        # Blocking tools and nodes run in its threads; asyncio's own pool has few more than the machine has cores.
        loop = asyncio.get_running_loop()
        threads = AgentThreads(
            max(_THREADS, concurrency), lambda: loop.call_soon_threadsafe(shutdown.replace_blocked)
        )
        agents_loop = AgentsLoop(threads)
        harness = Harness(
            adapter,
            agents,
            toolbox,
            attempts,
            open_attempts,
            stack,
            lambda: watchdog.blocked,
            agents_loop,
            ProcessSettings(),
            vitals,
            [TurnLog()],
        )
        pool = Pool(attempts, harness, concurrency)
        blocking = connect_blocking(self._redis_url)

        def on_lost(lost: list[Lease]) -> None:
            loop.call_soon_threadsafe(pool.drop, lost)

        registration = TurnWorker(self._pool, self._name, blocking, agents.missing, self._only)

        relief = Relief(pool, shutdown.replace_blocked)

        def on_blocked(blocked: Blocked | None) -> None:
            loop.call_soon_threadsafe(relief.take, blocked)

        pulse = Pulse(round(HUNG_SECONDS / beat_seconds(self._lease_seconds)), self._last_words.end)

        def on_beat() -> None:
            pulse.look()
            memory.look()
            threads.look()
            vitals.look()

        beat = Beat(
            Leases(
                blocking,
                self._pool,
                lease_seconds=self._lease_seconds,
                max_attempts=self._max_attempts,
                witness_seconds=WITNESS_SECONDS,
            ),
            registration,
            running=pool.leases,
            on_lost=on_lost,
            on_beat=on_beat,
            on_end=shutdown.lose_leases,
            lease_seconds=self._lease_seconds,
        )
        agents_loop.start()
        watchdog = await in_loop(agents_loop.loop, _watchdog(on_blocked, self._last_words.alive))
        try:
            registration.register()
        except AWAY as error:
            # The beat registers as soon as Redis takes it.
            log.warning("redis_away", error=str(error))
        beat.start()
        watchdog.start()
        taking = asyncio.create_task(pool.take())
        watching = asyncio.create_task(agents.watch(beat_seconds(self._lease_seconds)))
        known = {"worker": self._name, "framework": self._framework, "pool": self._pool}
        log.info("worker_ready", **known, concurrency=concurrency)
        try:
            stop = asyncio.create_task(shutdown.wanted.wait())
            with Notifications(connection).listening(keys.WORKER + self._name, pool.drop_cancelled):
                await asyncio.wait({stop, taking}, return_when=asyncio.FIRST_COMPLETED)
                taking.cancel()
                await pool.drain(shutdown.grace_seconds)
        finally:
            watchdog.stop()
            await agents_loop.stop()
            beat.stop()
            vitals.stop()
            with suppress(*AWAY):
                registration.unregister()
            await toolbox.close()
            tasks = (stop, taking, watching)
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            for outcome in ended:
                if isinstance(outcome, Exception):
                    raise outcome
        if shutdown.leases_lost:
            raise LeasesError
        return pool.kept


async def _watchdog(on_blocked: Callable[[Blocked | None], None], alive: Callable[[], None]) -> Watchdog:
    """Return a watchdog of the loop that awaits this."""
    return Watchdog(on_blocked=on_blocked, alive=alive)
