"""Runs one attempt at a turn: everything around an adapter that is the same for every framework."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing

import structlog

from k8gentai.agents.events import Event, TurnCompleted, TurnEnd, TurnStarted
from k8gentai.agents.turn import Adapter, TurnContext
from k8gentai.workers.attempts import Attempts, Started
from k8gentai.workers.calls import ModelCalls, OpenAttempts, current_key
from k8gentai.workers.endings import failure, over_time
from k8gentai.workers.journal import Journal
from k8gentai.workers.loaded import LoadedAgents
from k8gentai.workers.order import EventOrder
from k8gentai.workers.republish import Republisher
from k8gentai.workers.stream import EventStream
from k8gentai.workers.tools import Tools

log = structlog.get_logger(__name__)


class Harness:
    """Runs the turns of one framework.

    Args:
        adapter: the framework's.
        agents: its agents.
        attempts: writes to Redis.
        open_attempts: who may call the model gateway.
    """

    def __init__(
        self, adapter: Adapter, agents: LoadedAgents, attempts: Attempts, open_attempts: OpenAttempts
    ) -> None:
        self._adapter = adapter
        self._agents = agents
        self._attempts = attempts
        self._open_attempts = open_attempts

    async def run(self, started: Started) -> None:
        """Run an attempt to the turn's end. Cancelling it leaves the turn without an end.

        Raises:
            FencedError: the attempt lost its turn; the agent was stopped.
        """
        stream = EventStream(self._attempts, started.lease, started.last_seq)
        stream.put(TurnStarted(attempt=started.lease.attempt, worker=self._attempts.worker))
        put = stream.put
        recorded: dict[str, str] = {}
        if started.lease.attempt > 1:
            put = Republisher(await self._attempts.published(started.lease), stream.put).put
            recorded = await self._attempts.journal(started.lease)
        journal = Journal(self._attempts, started.lease, recorded)
        writing = asyncio.create_task(stream.write())
        running = asyncio.create_task(self._end(started, journal, put, stream.room))
        try:
            await asyncio.wait({writing, running}, return_when=asyncio.FIRST_COMPLETED)
            if not writing.done():
                end = await running
                await journal.close()
                put(end)
            await writing
        finally:
            for task in (running, writing):
                task.cancel()
            await asyncio.gather(running, writing, return_exceptions=True)

    async def _end(
        self,
        started: Started,
        journal: Journal,
        put: Callable[[Event], None],
        room: Callable[[], Awaitable[None]],
    ) -> TurnEnd:
        """Run the agent. Returns what the turn ends with."""
        order = EventOrder(put)
        calls: ModelCalls | None = None
        try:
            agent = await self._agents.for_turn(started.accepted)
            limits = agent.definition.spec.limits
            turn = started.accepted.turn
            model = agent.definition.spec.model.name
            calls = ModelCalls(turn.id, model, limits.steps, order.from_gateway, journal, started.accepted.trace)
            context = TurnContext(
                attempt=started.lease.attempt,
                model=self._open_attempts.open(calls),
                tools=Tools(
                    turn.id, {tool.name: tool for tool in agent.definition.spec.tools}, journal, order.from_tool
                ),
                max_steps=limits.steps,
                log=structlog.stdlib.get_logger("k8gentai.agent").bind(turn=turn.id, agent=turn.agent),
            )
            current_key.set(calls.key)
            end: TurnEnd = TurnCompleted()
            try:
                async with asyncio.timeout(limits.seconds) as limit:
                    async with aclosing(self._adapter.run(agent, turn, context)) as events:  # type: ignore[type-var]
                        async for event in events:
                            if isinstance(event, TurnEnd):
                                end = event
                                continue
                            order.from_adapter(event)
                            await room()
            except TimeoutError:
                if not limit.expired():
                    raise
                end = over_time(limits.seconds)
        except Exception as error:
            end = failure(error, calls)
            log.warning("turn_failed", turn=started.lease.turn_id, code=end.code, exc_info=error)
        finally:
            if calls is not None:
                self._open_attempts.close(calls)
        order.finish(completed=isinstance(end, TurnCompleted))
        return end
