"""Runs one attempt at a turn: everything around an adapter that is the same for every framework."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from redis.exceptions import RedisError

from k8gentai.agents.adapters.base.parameters import wants_json
from k8gentai.agents.contract.events import TurnEnd, TurnStarted
from k8gentai.agents.contract.turn import AgentLoadError, AnyAdapter
from k8gentai.workers.attempt.journal import Journal
from k8gentai.workers.attempt.observers import Observer, Observers
from k8gentai.workers.attempt.replay_filter import Republisher
from k8gentai.workers.attempt.retried import tried_anew
from k8gentai.workers.attempt.spare_time import pause_in
from k8gentai.workers.attempt.stream import EventStream
from k8gentai.workers.gateway.model_calls import OpenAttempts
from k8gentai.workers.isolation.agents_loop import AgentsLoop
from k8gentai.workers.isolation.current_attempt import current_attempt
from k8gentai.workers.isolation.own_variables import own_variables
from k8gentai.workers.isolation.process_settings import ProcessSettings
from k8gentai.workers.isolation.watchdog import Blocked
from k8gentai.workers.process.attempt import Attempt, Outlet
from k8gentai.workers.process.failures import failure
from k8gentai.workers.process.vitals import Vitals
from k8gentai.workers.queue.attempts import Attempts, FencedError, Started
from k8gentai.workers.queue.connection import until_back
from k8gentai.workers.queue.hand_backs import AgentMissingError, BrokeOffError, StaleCodeError
from k8gentai.workers.stack.client import StackClient
from k8gentai.workers.tools.agent_cache import LoadedAgents, ReadyAgent
from k8gentai.workers.tools.concurrency import Slot
from k8gentai.workers.tools.toolbox import Toolbox


class Harness:
    """Runs the turns of one framework.

    Args:
        adapter: the framework's.
        agents: the agents of the pool.
        toolbox: their tools.
        attempts: writes to Redis.
        open_attempts: the attempts that may call the model gateway.
        stack: the stack, which turns ask for services beside models.
        blocked: returns what holds up the agents' loop now.
        agents_loop: the loop that agents' code runs in.
        settings: the settings of the process, which are put back while no attempt runs.
        vitals: tells whether the process can run turns at all.
        observers: watch the attempts.
    """

    def __init__(
        self,
        adapter: AnyAdapter,
        agents: LoadedAgents,
        toolbox: Toolbox,
        attempts: Attempts,
        open_attempts: OpenAttempts,
        stack: StackClient,
        blocked: Callable[[], Blocked | None],
        agents_loop: AgentsLoop,
        settings: ProcessSettings,
        vitals: Vitals,
        observers: Sequence[Observer] = (),
    ) -> None:
        self._observers = Observers(observers)
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
            slot: the turn's place in the worker.

        Raises:
            FencedError: the attempt lost its turn; the agent was stopped.
            AgentMissingError: this worker has not got the agent.
            StaleCodeError: it has other code of the agent than is registered.
            BrokeOffError: the attempt has to be made again, as with the stack's server gone in mid-answer.
        """
        self._observers.began(started)
        end: TurnEnd | None = None
        try:
            end = await self._run(started, slot)
        finally:
            self._observers.ended(started, end)

    async def _run(self, started: Started, slot: Slot) -> TurnEnd | None:
        """Run an attempt. Returns what the turn ended with, once that is written."""
        stream = EventStream(self._attempts, started, partial(self._observers.published, started))
        stream.put(TurnStarted(attempt=started.lease.attempt, worker=self._attempts.worker))
        outlet, recorded = await self._taken_up(started, stream)
        journal = Journal(self._attempts, started.lease, recorded, pause_in(self._agents_loop.loop))
        writing = asyncio.create_task(stream.write())
        running = asyncio.create_task(self._end(started, slot, journal, outlet))
        try:
            await asyncio.wait({writing, running}, return_when=asyncio.FIRST_COMPLETED)
            end = None
            if not writing.done():
                end = await running
                await journal.close()
                outlet.put(end)
            await _written(writing)
            return end
        finally:
            for task in (running, writing):
                task.cancel()
            await asyncio.gather(running, writing, return_exceptions=True)

    async def _taken_up(self, started: Started, stream: EventStream) -> tuple[Outlet, dict[str, str]]:
        """Return where the events of an attempt go, less those that earlier ones published, and what these
        recorded.
        """
        if started.lease.attempt == 1 and not started.accepted.replay:
            return Outlet(stream.put), {}
        before = await until_back(partial(self._attempts.before, started.lease))
        published = await until_back(partial(self._attempts.published, started.lease))
        recorded = await until_back(partial(self._attempts.journal, started.lease))
        if (replay := started.accepted.replay) and replay.retry:
            recorded = await tried_anew(self._attempts, started.lease, replay.of, recorded)
        turn = replay.turn if replay else started.accepted.turn
        recalls = wants_json(turn.parameters)
        republisher = Republisher(before, published, stream.put, started.accepted.refused(), recalls=recalls)
        return Outlet(republisher.put, republisher.keep), recorded

    async def _end(self, started: Started, slot: Slot, journal: Journal, outlet: Outlet) -> TurnEnd:
        """Run the agent. Returns what the turn ends with."""
        attempt: Attempt | None = None
        try:
            ready = await self._ready(started)
            async with self._toolbox.open(ready, started, slot) as declared:
                attempt = Attempt(
                    started, ready, declared, self._stack, journal, outlet, self._blocked, self._agents_loop
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
            self._observers.failed(started, end, error)
        finally:
            if attempt is not None:
                self._open_attempts.close(attempt.calls)
                attempt.close()
        return end if attempt is None else await attempt.finished(end)

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
