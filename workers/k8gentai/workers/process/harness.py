"""Runs one attempt at a turn: everything around an adapter that is the same for every framework."""

import asyncio
from collections.abc import Callable
from functools import partial

import structlog
from redis.exceptions import RedisError

from k8gentai.agents.adapters.base.parameters import wants_json
from k8gentai.agents.contract.events import (
    Event,
    TurnCompleted,
    TurnEnd,
    TurnIncomplete,
    TurnStarted,
    TurnSuspended,
)
from k8gentai.agents.contract.turn import (
    Adapter,
    AgentLoadError,
)
from k8gentai.workers.attempt.journal import Journal
from k8gentai.workers.attempt.replay_filter import Republisher
from k8gentai.workers.attempt.retried import tried_anew
from k8gentai.workers.attempt.sequencer import EventOrder
from k8gentai.workers.attempt.spare_time import pause_in
from k8gentai.workers.attempt.stream import EventStream
from k8gentai.workers.gateway.model_calls import OpenAttempts
from k8gentai.workers.isolation.agents_loop import AgentsLoop
from k8gentai.workers.isolation.current_attempt import current_attempt
from k8gentai.workers.isolation.own_variables import own_variables
from k8gentai.workers.isolation.process_settings import ProcessSettings
from k8gentai.workers.isolation.watchdog import Blocked
from k8gentai.workers.process.attempt import Attempt
from k8gentai.workers.process.failures import failure
from k8gentai.workers.process.vitals import Vitals
from k8gentai.workers.queue.attempts import Attempts, FencedError, Started
from k8gentai.workers.queue.connection import until_back
from k8gentai.workers.queue.hand_backs import AgentMissingError, BrokeOffError, StaleCodeError
from k8gentai.workers.stack.client import StackClient
from k8gentai.workers.stack.services import TurnServices
from k8gentai.workers.tools.agent_cache import LoadedAgents, ReadyAgent
from k8gentai.workers.tools.concurrency import Slot
from k8gentai.workers.tools.toolbox import Toolbox

log = structlog.get_logger(__name__)


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
        settings: those of the process, which are put back while no attempt runs.
        vitals: tells whether the process can run turns at all.
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
        settings: ProcessSettings,
        vitals: Vitals,
    ) -> None:
        self._vitals = vitals
        self._settings = settings
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
            StaleCodeError: it has other code of the agent than is registered.
            BrokeOffError: the attempt has to be made again, as with the stack's server gone in mid-answer.
        """
        stream = EventStream(self._attempts, started)
        stream.put(TurnStarted(attempt=started.lease.attempt, worker=self._attempts.worker))
        order, put, recorded = await self._taken_up(started, stream)
        pause = pause_in(self._agents_loop.loop)
        journal = Journal(self._attempts, started.lease, recorded, pause)
        writing = asyncio.create_task(stream.write())
        running = asyncio.create_task(self._end(started, slot, journal, order))
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

    async def _taken_up(
        self, started: Started, stream: EventStream
    ) -> tuple[EventOrder, Callable[[Event], None], dict[str, str]]:
        """Return what takes the events of an attempt and what its end, less those that earlier ones published, and
        what they recorded.
        """
        if started.lease.attempt == 1 and not started.accepted.replay:
            return EventOrder(stream.put), stream.put, {}
        before = await until_back(partial(self._attempts.before, started.lease))
        published = await until_back(partial(self._attempts.published, started.lease))
        recorded = await until_back(partial(self._attempts.journal, started.lease))
        if (replay := started.accepted.replay) and replay.retry:
            recorded = await tried_anew(self._attempts, started.lease, replay.of, recorded)
        turn = replay.turn if replay else started.accepted.turn
        recalls = wants_json(turn.parameters)
        republisher = Republisher(before, published, stream.put, started.accepted.refused(), recalls=recalls)
        return EventOrder(republisher.put, republisher.keep), republisher.put, recorded

    async def _end(self, started: Started, slot: Slot, journal: Journal, order: EventOrder) -> TurnEnd:
        """Run the agent. Returns what the turn ends with."""
        attempt: Attempt | None = None
        try:
            ready = await self._ready(started)
            async with self._toolbox.open(ready, started, slot) as declared:
                services = TurnServices(self._stack, started.accepted)
                attempt = Attempt(
                    started, ready, declared, services, journal, order, self._blocked, self._agents_loop
                )
                endpoint = self._open_attempts.open(attempt.calls)
                current_attempt.set(attempt.calls.attempt)
                own_variables.set(dict(ready.variables))
                with self._settings.attempt():
                    end = await attempt.run(self._adapter, endpoint)
        except (BrokeOffError, AgentMissingError, StaleCodeError):
            raise
        except BaseException as error:
            if _being_cancelled():
                raise
            await self._vitals.check()
            end = failure(error, attempt.calls if attempt else None)
            log.warning("turn_failed", turn=started.lease.turn_id, code=end.code, exc_info=error)
            if end.code == "agent_error" and order.cut_off and attempt is not None and attempt.calls.silent:
                # Frameworks may take an answer without a word for an error. Why it has none is known.
                end = TurnIncomplete(reason=order.cut_off)
        finally:
            if attempt is not None:
                self._open_attempts.close(attempt.calls)
                attempt.close()
        if isinstance(end, TurnCompleted) and order.cut_off:
            end = TurnIncomplete(reason=order.cut_off)
        order.finish(completed=isinstance(end, TurnCompleted), suspended=isinstance(end, TurnSuspended))
        if isinstance(end, TurnCompleted) and attempt is not None:
            end = await attempt.judged(end)
        if isinstance(end, TurnCompleted | TurnSuspended) and attempt is not None:
            attempt.leave_answer(suspended=isinstance(end, TurnSuspended))
        return end

    async def _ready(self, started: Started) -> ReadyAgent:
        """Return the agent, imported.

        Raises:
            AgentMissingError: this worker has not got it.
            StaleCodeError: it has other code of it.
        """
        try:
            return await self._agents.for_turn(started.accepted)
        except AgentLoadError as error:
            raise AgentMissingError(failure(error, None)) from error


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
    """Return whether the current task is being stopped from without, rather than by what its agent raised."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
