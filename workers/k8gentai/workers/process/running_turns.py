"""The turns in flight in one worker process: taken while there is room, run on one event loop, drained."""

import asyncio
import secrets
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from functools import partial
from typing import Any

import structlog

from k8gentai.agents.contract.events import TurnFailed
from k8gentai.agents.text.utf8 import message_of
from k8gentai.workers.process.harness import Harness
from k8gentai.workers.queue.attempts import Attempts, DeclinedBeforeError, FencedError, Lease, Started
from k8gentai.workers.queue.connection import AWAY, BLOCK_SECONDS, REPLY_SECONDS, until_back
from k8gentai.workers.queue.hand_backs import AgentMissingError, BrokeOffError, StaleCodeError
from k8gentai.workers.tools.concurrency import Door, Slot, WholeWorker

_NEIGHBOURS_SECONDS = 15.0
"""The seconds that turns may take to end beside which another one waits to be alone."""
_ALONE_SECONDS = 15.0
_ALONE_TIMES = 2.0
"""A suspect is alone for so long and so many times what it had run when its worker ended: it comes to that place
sooner, as its record answers, and the others of a worker are not held up for all the time that it may take."""
_DECLINED_SECONDS = 1.0
"""The seconds for which a turn is kept from the queue that this worker has taken again and cannot run."""
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 20.0
_FAULTS = 3
"""The number of tries of a turn whose attempts break off by a fault of ours."""

log = structlog.get_logger(__name__)


class Pool:
    """The turns in flight in this process.

    Args:
        attempts: takes turns and writes about them.
        harness: runs them.
        concurrency: the number of turns at once.
    """

    def __init__(self, attempts: Attempts, harness: Harness, concurrency: int) -> None:
        self._attempts = attempts
        self._harness = harness
        self._places = asyncio.Semaphore(concurrency)
        self.door = Door()
        """Whether it takes turns."""
        self.kept = False
        """Whether a turn could not be given back, as Redis was away: its lease runs out."""
        self._tasks: dict[Lease, asyncio.Task[None]] = {}
        self._declined: set[asyncio.Task[None]] = set()
        self._background: set[asyncio.Task[None]] = set()

    def leases(self) -> list[Lease]:
        """Return the leases this process holds."""
        return list(self._tasks)

    def drop(self, lost: list[Lease]) -> None:
        """Stop these turns: they are no longer this process's to run."""
        for lease in lost:
            if task := self._tasks.get(lease):
                log.info("turn_ended_elsewhere", turn=lease.turn_id)
                task.cancel()

    def drop_cancelled(self, turn_id: bytes | None) -> None:
        """Stop a turn that was ended by somebody else.

        Args:
            turn_id: as Redis publishes it; None where such words may have been missed. Then the lease's renewal
                finds it.
        """
        if turn_id is not None:
            self.drop([lease for lease in self._tasks if lease.turn_id == turn_id.decode()])

    async def take(self) -> None:
        """Take turns for as long as there is room, without end."""
        while True:
            await self.door.opened()
            await self._places.acquire()
            try:
                started = await self._next()
            except BaseException:
                self._places.release()
                raise
            if self.door.is_open:
                self._begin(started)
            else:
                # It was closed while the turn was waited for.
                await self._hand_back(started.lease)
                self._places.release()

    async def drain(self, grace_seconds: float) -> None:
        """Let running turns end, and give those back that do not within the grace.

        Args:
            grace_seconds: the seconds to wait.
        """
        for task in self._declined:
            task.cancel()
        if not self._tasks:
            return
        log.info("draining", turns=len(self._tasks), grace_seconds=grace_seconds)
        await asyncio.wait(self._tasks.values(), timeout=grace_seconds)
        await self.hand_over(self.leases())

    async def hand_over(self, leases: Iterable[Lease]) -> None:
        """Stop turns and give them to other workers."""
        tasks = {lease: task for lease in leases if (task := self._tasks.get(lease))}
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        for lease in tasks:
            await self._hand_back(lease)

    async def _hand_back(self, lease: Lease) -> None:
        try:
            now = await self._attempts.hand_back(lease)
            log.info("handed_back", turn=lease.turn_id, now=now)
        except AWAY as error:
            self.kept = True
            log.warning("redis_away", turn=lease.turn_id, error=str(error))

    def _begin(self, started: Started) -> None:
        slot = self._slot(started)
        task = self._tasks[started.lease] = asyncio.create_task(self._run(started, slot))

        def ended(_: asyncio.Task[None]) -> None:
            del self._tasks[started.lease]
            slot.free()

        task.add_done_callback(ended)

    def _slot(self, started: Started) -> Slot:
        if not started.suspect:
            return Slot(self._places)
        log.info("suspect_runs_alone", turn=started.lease.turn_id)
        seconds = _ALONE_SECONDS + _ALONE_TIMES * started.alone_seconds
        return WholeWorker(self._places, self.door, lambda: self._empty(started.lease), seconds)

    async def _empty(self, stays: Lease) -> None:
        """Have all turns but one leave."""
        others = {lease: task for lease, task in self._tasks.items() if lease != stays}
        if others:
            await asyncio.wait(others.values(), timeout=_NEIGHBOURS_SECONDS)
            # Once turns are stopped they are given back, whoever waits for that.
            await asyncio.shield(self._in_background(self.hand_over(others)))

    async def _next(self) -> Started:
        while True:
            if (turn_id := await until_back(lambda: self._attempts.take(BLOCK_SECONDS))) is None:
                continue
            try:
                started = await self._start(turn_id)
            except DeclinedBeforeError:
                self._put_back_later(turn_id)
                continue
            if started is not None:
                return started
            log.info("not_to_be_run", job=turn_id)

    async def _start(self, turn_id: str) -> Started | None:
        """Start a turn; a worker that is told to stop meanwhile gives it back at once."""
        taking = secrets.token_hex(8)
        start = until_back(lambda: self._attempts.start(turn_id, taking), turn=turn_id)
        starting = asyncio.create_task(start)
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            try:
                if (started := await asyncio.wait_for(starting, REPLY_SECONDS)) is not None:
                    await self._hand_back(started.lease)
            except TimeoutError:
                self.kept = True
            except DeclinedBeforeError:
                pass
            raise

    def _put_back_later(self, turn_id: str) -> None:
        async def put_back() -> None:
            await asyncio.sleep(_DECLINED_SECONDS)
            # Where that fails it is found among what was taken and not started.
            with suppress(*AWAY):
                if await self._attempts.put_back(turn_id) == "failed":
                    log.warning("no_worker_has_the_agent", turn=turn_id)

        task = self._in_background(put_back())
        self._declined.add(task)
        task.add_done_callback(self._declined.discard)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run what goes on whoever waits for it. asyncio itself keeps no task alive."""
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    async def _run(self, started: Started, slot: Slot) -> None:
        lease = started.lease
        try:
            await slot.begin()
            await self._harness.run(started, slot)
        except FencedError:
            log.info("turn_ended_elsewhere", turn=lease.turn_id)
        except StaleCodeError:
            # This process is about to end; another one has the agent as it is registered.
            await self._hand_back(lease)
        except AgentMissingError as error:
            await self._decline(lease, error.end)
        except BrokeOffError as error:
            await self._break_off(started, error)
        except Exception as error:
            log.exception("attempt_broke_off", turn=lease.turn_id)
            words = f"the worker could not run the turn: {type(error).__name__}: {message_of(error)}"
            end = TurnFailed(code="worker_error", message=words[:1_000])
            await self._break_off(started, BrokeOffError(end, often=_FAULTS))

    async def _decline(self, lease: Lease, end: TurnFailed) -> None:
        now = await until_back(partial(self._attempts.decline, lease, end), turn=lease.turn_id)
        log.warning("agent_missing", turn=lease.turn_id, error=end.message, now=now)

    async def _break_off(self, started: Started, error: BrokeOffError) -> None:
        pause = min(_FIRST_PAUSE_SECONDS * 2**started.breaks, _LONGEST_PAUSE_SECONDS) if error.often > 1 else 0
        log.warning("broke_off", turn=started.lease.turn_id, error=error.end.message, again_in=pause)
        break_off = partial(self._attempts.break_off, started.lease, error.end, pause=pause)
        ways = partial(break_off, seconds=error.seconds, often=error.often)
        await until_back(ways, turn=started.lease.turn_id)
