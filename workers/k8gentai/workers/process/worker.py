"""A worker process: the model gateway that its turns call, and what it is from its start to its end."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
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
from k8gentai.workers.isolation.child_environment import pass_on_variables
from k8gentai.workers.isolation.containment import contain_files, contain_signals
from k8gentai.workers.isolation.current_attempt import current_attempt
from k8gentai.workers.isolation.forks import end_forks_with_worker
from k8gentai.workers.isolation.own_variables import part_variables
from k8gentai.workers.isolation.process_exits import ENDING_SIGNALS, end_for_certain
from k8gentai.workers.isolation.standard_streams import keep_streams_open
from k8gentai.workers.isolation.thread_context import carry_context
from k8gentai.workers.process.descriptors import raise_limit
from k8gentai.workers.process.last_words import LastWords
from k8gentai.workers.process.memory import Memory, MemoryLimitError
from k8gentai.workers.process.nobody_served import warn_if_nobody_is_served
from k8gentai.workers.process.served_pool import PoolTerms, Process, ServedPool
from k8gentai.workers.process.shutdown import Shutdown
from k8gentai.workers.process.vitals import Vitals
from k8gentai.workers.process.worker_log import configure_logs, open_log
from k8gentai.workers.queue import preflight
from k8gentai.workers.queue.attempts import LEASE_SECONDS, MAX_ATTEMPTS
from k8gentai.workers.queue.connection import AWAY, connect, masked
from k8gentai.workers.queue.registry_store import Place, followed_store_at
from k8gentai.workers.queue.worker_name import new_name
from k8gentai.workers.stack.client import StackClient
from k8gentai.workers.stack.credentials import SignedGrants
from k8gentai.workers.tools.agent_cache import LoadedAgents

_KEEP_ALIVE_SECONDS = 3600
"""Longer than any client keeps an idle connection: one that takes it just as it is closed loses its call."""
_GATEWAY_VARIABLES = "OPENAI_BASE_URL", "OPENAI_API_KEY"
_PLACEHOLDER_KEY = "amf-worker"
"""The API key that an SDK in agent code finds. It opens nothing; the gateway goes by the turn's header."""

log = structlog.get_logger(__name__)


class _Server(uvicorn.Server):
    """A server that leaves the process's signals to the worker."""

    def capture_signals(self) -> Any:
        return nullcontext()


@dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    """The pool that a worker serves, the addresses that it needs, and its limits."""

    framework: str
    """The framework whose agents it runs."""
    redis_url: str
    """The address of Redis, as :func:`k8gentai.workers.queue.redis_url.read_url` reads it."""
    stack_url: str
    """The address of the stack, which has the models, e.g. ``http://127.0.0.1:8321``."""
    registry: Place
    """The place of the registry, which ``k8gentai agents update`` writes."""
    pool: str | None = None
    """The name of the pool whose turns it runs; None for the pool of the framework's name."""
    only: Collection[str] | None = None
    """The ids of the agents to serve; None for all of the pool."""
    adapter: str | None = None
    """Names the framework's adapter, where it is not among ours."""
    concurrency: int | None = None
    """Turns at once; None for what suits the framework."""
    grace_seconds: float = 30.0
    """The seconds that running turns may go on after the signal."""
    lease_seconds: float = LEASE_SECONDS
    """The seconds that this process may be silent before its turns are run by another."""
    max_attempts: int = MAX_ATTEMPTS
    """The number of workers that a turn may end, each alone in it."""
    max_memory: int | None = None
    """The size to which the process may grow, in MB, before it drains; None for as large as it likes."""
    api_key: str | None = None
    """The credential the stack asks for."""


def main(options: WorkerOptions) -> int:
    """Run a worker until SIGTERM or SIGINT.

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
    return _Worker(options).run()


class _Worker:
    """One worker process from its start to its end."""

    def __init__(self, options: WorkerOptions) -> None:
        self._options = options
        self._pool = options.pool or options.framework
        self._registry = Registry(followed_store_at(options.registry, options.redis_url))
        self._log = open_log()
        self._name = new_name(options.framework)
        self._last_words = LastWords(options.redis_url, self._pool, self._name, _current_turn)

    def run(self) -> int:
        """Serve until the end. Returns the process's exit code."""
        try:
            code = asyncio.run(self.serve())
        except BaseException as error:
            self._last_words.raised(error)
            raise
        self._last_words.ended()
        return code

    async def serve(self) -> int:
        """Serve as :meth:`run` does, in a loop that runs."""
        configure_logs(self._log)
        connection = connect(self._options.redis_url)
        if not await self._is_fit(connection):
            return 1
        shutdown = Shutdown(self._options.grace_seconds, self._last_words.end)
        self._end_at_signals(shutdown)
        stack = StackClient(self._options.stack_url, SignedGrants(self._options.api_key, connection))
        listening = socket.create_server(("127.0.0.1", 0))
        host, port = listening.getsockname()
        open_attempts = OpenAttempts(f"http://{host}:{port}/v1")
        _prepare_process(open_attempts.base_url, host, port)
        vitals = Vitals(host, port, shutdown.replace)
        process = Process(self._name, connection, stack, open_attempts, vitals, shutdown, self._last_words)
        async with AsyncExitStack() as closing:
            closing.push_async_callback(connection.aclose)
            closing.push_async_callback(stack.close)
            await closing.enter_async_context(_gateway(open_attempts, stack, listening))
            closing.callback(lambda: end_for_certain(shutdown.exit_code))
            try:
                kept = await self._work(process)
                # What remains may take too long.
                self._last_words.ended(kept=kept)
            except BaseException as error:
                self._last_words.raised(error)
                raise
        return shutdown.exit_code

    async def _is_fit(self, connection: Redis) -> bool:
        """Return whether Redis is there and keeps turns."""
        try:
            await preflight.check(connection)
        except AWAY as error:
            log.error("redis_unreachable", url=masked(self._options.redis_url), error=str(error))
            return False
        except (preflight.UnfitError, RedisError) as error:
            log.error("redis_unfit", url=masked(self._options.redis_url), error=str(error))
            return False
        return True

    def _end_at_signals(self, shutdown: Shutdown) -> None:
        def stop() -> None:
            self._last_words.stopping()
            shutdown.wanted.set()

        for signum in ENDING_SIGNALS:
            asyncio.get_running_loop().add_signal_handler(signum, stop)

    async def _work(self, process: Process) -> bool:
        """Run turns until the process is to end. Returns whether it has some yet that it could not give back."""
        options, shutdown = self._options, process.shutdown
        self._last_words.starting(f"the import of {options.framework}")
        adapter = _load_adapter(options)

        def on_stale(files: list[str]) -> None:
            log.warning("code_changed", files=files, do="this worker ends with exit code 75, to be started again")
            shutdown.replace()

        agents = LoadedAgents(self._registry, adapter, on_stale, pool=self._pool, only=options.only)
        failed = await agents.warm(self._last_words.starting)
        self._last_words.starting("the registration")
        # Imports of agents may have set up logging of their own.
        configure_logs(self._log)
        for agent_id, error in failed:
            log.error("agent_unavailable", agent=agent_id, error=str(error))
        warn_if_nobody_is_served(self._registry.list(), options.framework, self._pool, options.only)
        memory = Memory(options.max_memory, shutdown.replace)
        try:
            memory.check()
        except MemoryLimitError as error:
            log.error("memory_limit_too_low", error=str(error))
            shutdown.exit_code = 1
            return False
        terms = PoolTerms(
            redis_url=options.redis_url,
            pool=self._pool,
            only=options.only,
            concurrency=options.concurrency or adapter.default_concurrency,
            lease_seconds=options.lease_seconds,
            max_attempts=options.max_attempts,
        )
        return await ServedPool(terms, process, adapter, agents, memory).serve()


def _current_turn() -> str:
    attempt = current_attempt.get()
    return attempt.turn_id if attempt else ""


@asynccontextmanager
async def _gateway(
    open_attempts: OpenAttempts, stack: StackClient, listening: socket.socket
) -> AsyncIterator[None]:
    """Serve the model gateway while inside."""
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
    try:
        yield
    finally:
        server.should_exit = True
        await serving


def _prepare_process(base_url: str, host: str, port: int) -> None:
    """Point model SDKs in agent code at the gateway, and contain what agent code does to the process.

    Before any agent is imported.
    """
    os.environ.update(zip(_GATEWAY_VARIABLES, (base_url, _PLACEHOLDER_KEY), strict=True))
    part_variables()
    pass_on_variables()
    attribute_calls(host, port)
    carry_context()
    contain_signals()
    contain_files()
    keep_streams_open()
    end_forks_with_worker()


def _load_adapter(options: WorkerOptions) -> AnyAdapter:
    """Return the framework's adapter.

    Raises:
        LookupError: no such framework.
        AdapterError: the adapter cannot be had, or is another framework's.
    """
    if options.adapter is None:
        return adapter_for(options.framework)
    adapter = load_adapter(options.adapter)
    if adapter.framework != options.framework:
        raise AdapterError(f"{options.adapter} is the adapter of {adapter.framework!r}, not {options.framework!r}")
    return adapter
