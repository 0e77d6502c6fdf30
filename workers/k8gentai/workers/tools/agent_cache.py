"""The agents a worker has imported, by id; each is loaded anew when its definition changed.

Where its code did, the process has to be replaced.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from k8gentai.agents.code.loading import load_object, named_modules
from k8gentai.agents.contract.turn import AgentLoadError, AnyAdapter, DeclaredTool, FoundTools, LoadedAgent
from k8gentai.agents.registry.registry import RegisteredAgent, Registry
from k8gentai.agents.resources.agent import AgentDefinition, implicit_agent
from k8gentai.agents.text.utf8 import message_of
from k8gentai.agents.tools.declared import load_functions
from k8gentai.agents.tools.policies import check_policies, found_tools
from k8gentai.workers.isolation.own_variables import own_variables, set_by_import
from k8gentai.workers.queue.hand_backs import StaleCodeError
from k8gentai.workers.queue.record import AcceptedTurn
from k8gentai.workers.tools.loaded_code import LoadedCode

log = structlog.get_logger(__name__)

_IMPORT_SECONDS = 120.0
"""How long an agent's import may take: some load a model."""
_AGAIN_SECONDS = 10.0
"""How soon an agent that could not be imported is tried again, where the registry is the same."""


@dataclass(frozen=True)
class ReadyAgent:
    """An agent that was imported, with the functions that its definition names as tools."""

    agent: LoadedAgent
    functions: list[DeclaredTool]
    found: FoundTools
    """The tools that it was found to have."""
    variables: Mapping[str, str | None] = field(default_factory=dict)
    """The environment variables that its import set for itself alone; None for what it deleted."""


@dataclass(frozen=True)
class _Failed:
    """An import that failed: of what, with what, and until when that is believed (monotonic time in seconds)."""

    agent: RegisteredAgent
    error: AgentLoadError
    until: float


class LoadedAgents:
    """The agents of one framework that a worker runs.

    Args:
        registry: where definitions come from, and nowhere else.
        adapter: the framework's.
        on_stale: called once, from any thread, with the files that changed since this process loaded agents from
            them: it has to be replaced.
        seconds: how long an import may take.
        pool: the worker's; agents of others are not imported before there is a turn of theirs. None for all.
        only: the ids of the agents that the worker serves; None for all. Others are not imported before there is a
            turn of theirs either.
    """

    def __init__(
        self,
        registry: Registry,
        adapter: AnyAdapter,
        on_stale: Callable[[list[str]], None],
        seconds: float = _IMPORT_SECONDS,
        *,
        pool: str | None = None,
        only: Collection[str] | None = None,
    ) -> None:
        self._pool = pool
        self._only = only
        self._registry = registry
        self._adapter = adapter
        self._on_stale = on_stale
        self._seconds = seconds
        self._code = LoadedCode()
        self._current: dict[str, RegisteredAgent] = {}
        """Agents as they were registered when it was last seen that this process may run them."""
        self._is_stale = False
        self._becoming_stale = threading.Lock()
        self._loaded: dict[str, tuple[str, ReadyAgent]] = {}
        self._failed: dict[str, _Failed] = {}
        self._endless: dict[str, asyncio.Future[ReadyAgent]] = {}
        """Imports that took too long and still go on, by agent."""
        self._loading = asyncio.Lock()

    async def warm(self, on_step: Callable[[str], None]) -> list[tuple[str, AgentLoadError]]:
        """Import every agent of the framework before there is work for it.

        Args:
            on_step: called with what is about to be done, for each agent.

        Returns:
            Those that cannot be imported.
        """
        failed = []
        for agent in self._ready():
            on_step(f"the import of agent {agent.id}")
            try:
                await self._registered(agent.id)
            except AgentLoadError as error:
                failed.append((agent.id, error))
            except StaleCodeError:
                break
        return failed

    async def watch(self, every_seconds: float) -> None:
        """Look until code has changed, beside all else: to read large files takes a while.

        Args:
            every_seconds: how long to wait between two looks.
        """
        while not self._is_stale:
            await asyncio.sleep(every_seconds)
            try:
                await asyncio.to_thread(self.look)
            except Exception:
                log.exception("registry_not_read")

    def look(self) -> None:
        """See whether agents were registered whose code this process has otherwise. From any thread."""
        for agent in self._ready():
            try:
                self._check_code(agent)
            except StaleCodeError:
                return

    async def for_turn(self, accepted: AcceptedTurn) -> ReadyAgent:
        """Return the agent a turn is for.

        Raises:
            AgentLoadError: it cannot be imported, or was taken out of the registry.
            StaleCodeError: its code has changed.
        """
        if accepted.implicit:
            return self._load(implicit_agent(accepted.turn.agent))
        return await self._registered(accepted.turn.agent)

    def description(self, agent_id: str) -> str | None:
        """Return what is said of an agent, of whatever framework."""
        agent = self._registry.get(agent_id)
        return agent.definition.spec.description if agent and agent.definition else None

    def missing(self) -> dict[str, str]:
        """Return the agents that could not be imported when that was last tried, each with the reason."""
        return {agent_id: str(failed.error) for agent_id, failed in self._failed.items()}

    def _ready(self) -> list[RegisteredAgent]:
        return [agent for agent in self._registry.list() if agent.state == "ready" and self._is_ours(agent)]

    def _is_ours(self, agent: RegisteredAgent) -> bool:
        is_of_pool = self._pool is None or agent.pool == self._pool
        is_served = self._only is None or agent.id in self._only
        return agent.framework == self._adapter.framework and is_of_pool and is_served

    def _check_code(self, agent: RegisteredAgent) -> None:
        """See that this process may run an agent, as it is registered.

        Raises:
            StaleCodeError: it has other code.
        """
        if self._current.get(agent.id) is agent:
            return
        if changed := self._code.changed(agent):
            self._become_stale(changed)
            raise StaleCodeError
        self._current[agent.id] = agent

    def _become_stale(self, changed: list[str]) -> None:
        """Call `on_stale`, unless another thread did."""
        with self._becoming_stale:
            is_first, self._is_stale = not self._is_stale, True
        if is_first:
            self._on_stale(changed)

    async def _registered(self, agent_id: str) -> ReadyAgent:
        agent = self._registry.get(agent_id)
        if agent is None or agent.state != "ready":
            # The server that accepted the turn may have heard of a change sooner.
            await asyncio.to_thread(self._registry.refresh)
            agent = self._registry.get(agent_id)
        if agent is None:
            raise AgentLoadError(f"agent {agent_id} is no longer registered")
        if agent.definition is None or agent.state != "ready":
            # The error names its file.
            raise AgentLoadError(agent.error or f"{agent.file}: agent {agent_id} is broken")
        if agent.framework != self._adapter.framework:
            raise AgentLoadError(
                f"agent {agent_id} is of {agent.framework}, and its pool has workers of {self._adapter.framework}"
            )
        if self._current.get(agent_id) is not agent:
            await asyncio.to_thread(self._check_code, agent)
        # Before the lock, which an import without end holds for long.
        digest, loaded = self._loaded.get(agent_id, (None, None))
        if loaded is not None and digest == agent.digest:
            return loaded
        async with self._loading:
            digest, loaded = self._loaded.get(agent_id, (None, None))
            if loaded is None or digest != agent.digest:
                loaded = await self._import(agent, agent.definition)
                self._loaded[agent_id] = (agent.digest, loaded)
                self._failed.pop(agent_id, None)
        return loaded

    async def _import(self, agent: RegisteredAgent, definition: AgentDefinition) -> ReadyAgent:
        """Import an agent, unless that failed a moment ago.

        Raises:
            AgentLoadError: it cannot be imported.
        """
        failed = self._failed.get(agent.id)
        if failed and failed.agent is agent and time.monotonic() < failed.until:
            raise failed.error
        try:
            return await self._bounded(agent.id, lambda: self._load_noted(agent, definition))
        except AgentLoadError as error:
            self._failed[agent.id] = _Failed(agent, error, time.monotonic() + _AGAIN_SECONDS)
            raise

    async def _bounded(self, agent_id: str, load: Callable[[], ReadyAgent]) -> ReadyAgent:
        """Load an agent in a thread: it may take seconds, and other turns go on meanwhile.

        Raises:
            AgentLoadError: it cannot be loaded, or not within the time for it.
        """
        waited = self._endless.pop(agent_id, None)
        loading = waited or _in_a_thread(load)
        # It was waited for long enough: others wait for their agents meanwhile.
        await asyncio.wait({loading}, timeout=0 if waited else self._seconds)
        if not loading.done():
            self._endless[agent_id] = loading
            raise AgentLoadError(f"the import of agent {agent_id} did not end within {self._seconds:g} s")
        return loading.result()

    def _load_noted(self, agent: RegisteredAgent, definition: AgentDefinition) -> ReadyAgent:
        # Before: what changes meanwhile counts as changed.
        self._code.note(agent)
        return self._load(definition)

    def _load(self, definition: AgentDefinition) -> ReadyAgent:
        variables: dict[str, str | None] = {}
        own_variables.set(variables)
        if definition.spec.entrypoint:
            # A factory that it names finds what the module set for another agent.
            load_object(definition.spec.entrypoint)
            variables.update(_set_by_imports(definition))
        agent, functions = self._adapter.load(definition), load_functions(definition)
        variables.update({**_set_by_imports(definition), **variables})
        # The code may be another one than when it was registered.
        found = found_tools(self._adapter, agent)
        check_policies(definition, found)
        return ReadyAgent(agent, functions, found, variables)


def _set_by_imports(definition: AgentDefinition) -> dict[str, str | None]:
    """Return the variables that the modules of an agent set when they were imported, be it for another agent."""
    return {name: value for module in named_modules(definition) for name, value in set_by_import(module).items()}


def _in_a_thread(load: Callable[[], ReadyAgent]) -> asyncio.Future[ReadyAgent]:
    """Load in a thread of its own: one that never ends would take a place among the agents' threads, and keep the
    process from ending."""
    loop = asyncio.get_running_loop()
    loaded: asyncio.Future[ReadyAgent] = loop.create_future()
    loaded.add_done_callback(lambda done: done.cancelled() or done.exception())

    def work() -> None:
        try:
            ready = load()
        except AgentLoadError as error:
            _deliver(loaded.set_exception, error)
        except BaseException as error:  # noqa: BLE001 - whatever the agent's code raises, the agent cannot be had
            _deliver(loaded.set_exception, AgentLoadError(f"{type(error).__name__}: {message_of(error)}"))
        else:
            _deliver(loaded.set_result, ready)

    def _deliver[T](deliver: Callable[[T], None], outcome: T) -> None:
        with suppress(RuntimeError):  # The loop is closed, and nobody waits.
            loop.call_soon_threadsafe(deliver, outcome)

    threading.Thread(target=work, name="import", daemon=True).start()
    return loaded
