"""Runs one attempt at a turn: everything around an adapter that is the same for every framework."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any

import structlog
from redis.exceptions import RedisError

from k8gentai.agents.answers import is_json
from k8gentai.agents.definition import Limits, Tool
from k8gentai.agents.events import (
    Event,
    TurnCompleted,
    TurnEnd,
    TurnFailed,
    TurnIncomplete,
    TurnStarted,
    TurnSuspended,
)
from k8gentai.agents.parameters import wants_json
from k8gentai.agents.turn import (
    Adapter,
    AgentLoadError,
    DeclaredTool,
    FoundTools,
    ModelEndpoint,
    RequestError,
    Turn,
    TurnContext,
    TurnError,
)
from k8gentai.workers.agents_boundary import AgentsBoundary
from k8gentai.workers.agents_loop import AgentsLoop, in_loop
from k8gentai.workers.approvals import Approvals
from k8gentai.workers.asking import StackClient
from k8gentai.workers.attempts import Attempts, FencedError, Started
from k8gentai.workers.budget import Budget
from k8gentai.workers.calls import ModelCalls, OpenAttempts
from k8gentai.workers.connection import until_back
from k8gentai.workers.current_attempt import current_attempt
from k8gentai.workers.endings import failure, over_time, stack_lost
from k8gentai.workers.journal import Journal
from k8gentai.workers.loaded import LoadedAgents, ReadyAgent
from k8gentai.workers.order import EventOrder
from k8gentai.workers.parents import bounded
from k8gentai.workers.republish import Republisher
from k8gentai.workers.services import TurnServices
from k8gentai.workers.slots import Slot
from k8gentai.workers.stream import EventStream
from k8gentai.workers.tool_guard import ToolGuard
from k8gentai.workers.toolbox import Toolbox
from k8gentai.workers.tools import Tools
from k8gentai.workers.watchdog import Blocked

_FAR_SECONDS = 86_400.0
_MANY = 10_000
_CLOSING_SECONDS = 10.0
"""How long a stopped agent may take to unwind: longer than adapters give what they start themselves."""
_UNSEEN = 100
"""Events that an agent may be ahead of the worker's own loop."""

_HUNG_SECONDS = 1.0
"""The same where its code lets nothing else run, so that it hears nothing."""

log = structlog.get_logger(__name__)


class AgentMissingError(Exception):
    """This worker cannot import the turn's agent; another may.

    Args:
        end: what the turn ends with that no worker can run.
    """

    def __init__(self, end: TurnFailed) -> None:
        super().__init__(end.message)
        self.end = end


class BrokeOffError(Exception):
    """The attempt broke off by something that the agent did not do; the turn may be tried again.

    Args:
        end: what the turn ends with that has broken off too long or too often.
        seconds: how long it may.
        often: how often it may.
    """

    def __init__(self, end: TurnFailed, *, seconds: float = _FAR_SECONDS, often: int = _MANY) -> None:
        super().__init__(end.message)
        self.end = end
        self.seconds = seconds
        self.often = often


class Harness:
    """Runs the turns of one framework.

    Args:
        adapter: the framework's.
        agents: its agents.
        toolbox: their tools.
        attempts: writes to Redis.
        open_attempts: who may call the model gateway.
        stack: what turns ask of it beside models.
        blocked: returns what holds up the agents' loop now.
        agents_loop: where agents' code runs.
    """

    def __init__(
        self,
        adapter: Adapter,
        agents: LoadedAgents,
        toolbox: Toolbox,
        attempts: Attempts,
        open_attempts: OpenAttempts,
        stack: StackClient,
        blocked: Callable[[], Blocked | None],
        agents_loop: AgentsLoop,
    ) -> None:
        self._stack = stack
        self._blocked = blocked
        self._agents_loop = agents_loop
        self._adapter = adapter
        self._agents = agents
        self._toolbox = toolbox
        self._attempts = attempts
        self._open_attempts = open_attempts

    async def run(self, started: Started, slot: Slot) -> None:
        """Run an attempt to the turn's end. Cancelling it leaves the turn without an end.

        Args:
            started: the attempt.
            slot: its place in the worker.

        Raises:
            FencedError: the attempt lost its turn; the agent was stopped.
            AgentMissingError: this worker has not got the agent.
            BrokeOffError: the attempt has to be made again, as with the stack's server gone in mid-answer.
        """
        stream = EventStream(self._attempts, started.lease, started.last_seq)
        stream.put(TurnStarted(attempt=started.lease.attempt, worker=self._attempts.worker))
        put = stream.put
        recorded: dict[str, str] = {}
        if started.lease.attempt > 1 or started.accepted.replay:
            before = await until_back(partial(self._attempts.before, started.lease))
            published = await until_back(partial(self._attempts.published, started.lease))
            put = Republisher(before, published, stream.put).put
            recorded = await until_back(partial(self._attempts.journal, started.lease))
        journal = Journal(self._attempts, started.lease, recorded)
        writing = asyncio.create_task(stream.write())
        running = asyncio.create_task(self._end(started, slot, journal, put, stream))
        try:
            await asyncio.wait({writing, running}, return_when=asyncio.FIRST_COMPLETED)
            if not writing.done():
                end = await running
                await journal.close()
                put(end)
            await _written(writing)
        finally:
            for task in (running, writing):
                task.cancel()
            await asyncio.gather(running, writing, return_exceptions=True)

    async def _end(
        self,
        started: Started,
        slot: Slot,
        journal: Journal,
        put: Callable[[Event], None],
        stream: EventStream,
    ) -> TurnEnd:
        """Run the agent. Returns what the turn ends with."""
        order = EventOrder(put)
        attempt: _Attempt | None = None
        try:
            ready = await self._ready(started)
            async with self._toolbox.open(ready, started, slot) as declared:
                services = TurnServices(self._stack, started.accepted)
                attempt = _Attempt(
                    started, ready, declared, services, journal, order, self._blocked, self._agents_loop
                )
                endpoint = self._open_attempts.open(attempt.calls)
                current_attempt.set(attempt.calls.attempt)
                end = await attempt.run(self._adapter, endpoint, stream)
        except (BrokeOffError, AgentMissingError):
            raise
        except BaseException as error:
            if _being_cancelled():
                raise
            end = failure(error, attempt.calls if attempt else None)
            log.warning("turn_failed", turn=started.lease.turn_id, code=end.code, exc_info=error)
        finally:
            if attempt is not None:
                self._open_attempts.close(attempt.calls)
                attempt.close()
        if isinstance(end, TurnCompleted) and order.cut_off:
            end = TurnIncomplete(reason=order.cut_off)
        if isinstance(end, TurnCompleted) and attempt is not None:
            end = attempt.judged(end)
        order.finish(completed=isinstance(end, TurnCompleted))
        return end

    async def _ready(self, started: Started) -> ReadyAgent:
        """The agent, imported.

        Raises:
            AgentMissingError: this worker has not got it.
        """
        try:
            return await self._agents.for_turn(started.accepted)
        except AgentLoadError as error:
            raise AgentMissingError(failure(error, None)) from error


class _Attempt:
    """What one attempt lends its agent.

    Args:
        started: the attempt.
        ready: who runs.
        declared: the tools that its definition brings.
        services: what the stack does for it.
        journal: the turn's.
        order: takes the events.
        blocked: returns what holds up the agents' loop now.
        agents_loop: where the agent's code runs.
    """

    def __init__(
        self,
        started: Started,
        ready: ReadyAgent,
        declared: tuple[DeclaredTool, ...],
        services: TurnServices,
        journal: Journal,
        order: EventOrder,
        blocked: Callable[[], Blocked | None],
        agents_loop: AgentsLoop,
    ) -> None:
        self._blocked = blocked
        accepted, spec = started.accepted, ready.agent.definition.spec
        replay = accepted.replay
        self._agent = ready.agent
        self._declared = declared
        self._services = services
        self._number = started.lease.attempt
        self._agents_loop = agents_loop
        self._closed = False
        self._turn = replay.turn if replay else accepted.turn
        self._limits = _asked(bounded(spec.limits, accepted.parent, started.clock.now()), self._turn)
        self._order = order
        self._halted: asyncio.Future[TurnEnd] = asyncio.get_running_loop().create_future()
        budget = Budget(self._limits, self._halt)
        order.admits = budget.write
        policies = {tool.name: tool for tool in spec.tools} | {tool.name: tool.policy for tool in declared}
        guard = _guard(self._turn, policies, ready.found, self._halt, spec.entrypoint)
        self.calls = ModelCalls(
            accepted.turn.id,
            spec.model.name,
            self._limits.steps,
            budget,
            order.from_gateway,
            order.answered,
            journal,
            accepted.trace,
            origin=self._turn.id,
            guard=guard,
        )
        if spec.entrypoint:
            # A declarative agent makes its calls with them by itself.
            self.calls.asked = self._turn.parameters
        self._approvals = Approvals(replay.answers if replay else {}, order.from_tool, self._busy)
        self._clock = started.clock
        deadline = self._clock.now() + self._limits.seconds
        self._tools = Tools(
            self._turn.id,
            policies,
            journal,
            order.from_tool,
            self._approvals,
            budget,
            deadline,
            self._clock,
            self.calls.unreadable,
            self._turn.parameters.get("max_tool_calls") if spec.framework != "llama-stack" else None,
            guard=guard,
            images=self.calls.images,
        )
        self._boundary = AgentsBoundary(self._tools, self._approvals, agents_loop)

    async def run(self, adapter: Adapter, endpoint: ModelEndpoint, stream: EventStream) -> TurnEnd:
        """Run the agent until it ends, its time is over, it is halted, or it waits for a person.

        Args:
            endpoint: where its model is.
            stream: takes the events, if not at once.
        """
        home = asyncio.get_running_loop()

        def publish(event: Event) -> None:
            # The agent runs in its own loop. What it publishes is brought here in its order.
            home.call_soon_threadsafe(self._take, event)

        agent_log = structlog.stdlib.get_logger("k8gentai.agent")
        context = TurnContext(
            attempt=self._number,
            model=endpoint,
            tools=self._boundary,
            max_steps=self._limits.steps,
            stack=self._services,
            log=agent_log.bind(turn=self.calls.turn_id, agent=self._turn.agent),
            declared=self._declared,
            publish=publish,
        )
        consuming = asyncio.create_task(
            in_loop(self._agents_loop.loop, self._consume(adapter, context, publish, stream, home))
        )
        quiet = asyncio.create_task(self._approvals.quiet())
        ways: set[asyncio.Future[Any]] = {consuming, quiet, self._halted, self.calls.lost}
        try:
            await asyncio.wait(ways, timeout=self._limits.seconds, return_when=asyncio.FIRST_COMPLETED)
            if self.calls.lost.done():
                raise BrokeOffError(
                    stack_lost(self.calls.lost.result(), self._limits.seconds), seconds=self._limits.seconds
                )
            if self._halted.done():
                return self._halted.result()
            if consuming.cancelled():
                raise TurnError("the agent's own code cancelled it")
            if consuming.done():
                return consuming.result()
            if quiet.done():
                return TurnSuspended(expires_at=self._clock.now() + self._limits.approval_seconds)
            return self._over_time()
        finally:
            # What is blocked until it is told that the attempt is over cannot unwind.
            self.close()
            if await _stopped({consuming, quiet}, _HUNG_SECONDS if self._blocked() else _CLOSING_SECONDS):
                log.warning("agent_left_behind", turn=self.calls.turn_id)

    def close(self) -> None:
        """Let go of the agent's code that waits for something, and take no more of its events."""
        self._closed = True
        self._approvals.close()
        self._boundary.close()
        self._tools.close()

    async def _consume(
        self,
        adapter: Adapter,
        context: TurnContext,
        publish: Callable[[Event], None],
        stream: EventStream,
        home: asyncio.AbstractEventLoop,
    ) -> TurnEnd:
        """Run the agent, in its loop.

        Args:
            publish: takes what it yields.
            stream: where that goes, if there is room.
            home: the worker's own loop.
        """
        end: TurnEnd = TurnCompleted()
        taken = 0
        async with aclosing(adapter.run(self._agent, self._turn, context)) as events:  # type: ignore[type-var]
            async for event in events:
                if isinstance(event, TurnEnd):
                    end = event
                    continue
                publish(event)
                taken += 1
                if stream.full or taken % _UNSEEN == 0:
                    await in_loop(home, stream.room())
        return end

    def _over_time(self) -> TurnEnd:
        """What the turn ends with whose time is over.

        Raises:
            BrokeOffError: it was not its own: code of another turn let nothing else run.
        """
        blocked = self._blocked()
        seconds = self._limits.seconds
        if blocked is None:
            return over_time(seconds)
        end = over_time(seconds, blocked.place)
        if blocked.attempt not in (None, self.calls.attempt):
            raise BrokeOffError(end, seconds=seconds)
        return end

    def judged(self, end: TurnEnd) -> TurnEnd:
        """What a turn ends with that ended well, but may have been asked for JSON: its last message is the answer.

        What a model makes of the format is its own affair, unless code of the agent's stands between.
        """
        if self._order.handed_over or not wants_json(self._turn.parameters) or self._order.keep_last_text(is_json):
            return end
        if not self._agent.definition.spec.entrypoint:
            return end
        message = "text.format: the request asks for JSON, and the agent answered in other words"
        return TurnFailed(code=RequestError.code, message=message)

    def _take(self, event: Event) -> None:
        if self._closed:
            return
        try:
            self._order.from_adapter(event)
        except Exception as error:  # noqa: BLE001 - in a callback nobody else would have it
            self._halt(failure(error, self.calls))

    def _halt(self, end: TurnEnd) -> None:
        if not self._halted.done():
            self._halted.set_result(end)

    def _busy(self) -> bool:
        return not self._boundary.stalled and (self.calls.busy or self._tools.busy)


async def _written(writing: asyncio.Task[None]) -> None:
    """Wait until the turn's events are written.

    Raises:
        FencedError: the attempt lost its turn.
        redis.exceptions.RedisError: Redis refused them.
        BrokeOffError: they cannot be written, and could not be by another attempt.
    """
    try:
        await writing
    except (FencedError, RedisError):
        raise
    except Exception as error:
        raise BrokeOffError(failure(error, None), often=1) from error


def _being_cancelled() -> bool:
    """Whether the current task is being stopped from without, rather than by what its agent raised."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _stopped(tasks: set[asyncio.Task[Any]], seconds: float) -> set[asyncio.Task[Any]]:
    """Cancel tasks. Returns those that do not end within that time: agents' code may ignore it."""
    for task in tasks:
        task.cancel()
    done, left = await asyncio.wait(tasks, timeout=seconds)
    for task in done:
        if not task.cancelled():
            task.exception()
    return left


def _asked(limits: Limits, turn: Turn) -> Limits:
    """The limits of a turn whose request may allow fewer model calls."""
    most = turn.parameters.get("max_infer_iters")
    return limits.model_copy(update={"steps": min(limits.steps, most)}) if most else limits


def _guard(
    turn: Turn,
    policies: Mapping[str, Tool],
    found: FoundTools,
    halt: Callable[[TurnEnd], None],
    entrypoint: str | None,
) -> ToolGuard:
    elsewhere = {str(tool.get("name")) for tool in turn.tools if tool.get("type") == "function"}
    elsewhere |= {name for name, policy in policies.items() if policy.boundary == "none"}
    return ToolGuard(elsewhere, found.shapes, policies, halt, entrypoint or "")
