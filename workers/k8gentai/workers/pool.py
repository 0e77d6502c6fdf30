"""The turns in flight in one worker process: taken while there is room, run on one event loop, drained."""

import asyncio
import secrets
from contextlib import suppress

import structlog

from k8gentai.workers.attempts import Attempts, FencedError, Lease, Started
from k8gentai.workers.connection import AWAY, BLOCK_SECONDS, REPLY_SECONDS, until_back
from k8gentai.workers.harness import Harness
from k8gentai.workers.slots import Slot
from k8gentai.workers.upstream import StackLostError

log = structlog.get_logger(__name__)


class Pool:
    """The turns in flight in this process.

    Args:
        attempts: takes turns and writes about them.
        harness: runs them.
        concurrency: how many at once.
    """

    def __init__(self, attempts: Attempts, harness: Harness, concurrency: int) -> None:
        self._attempts = attempts
        self._harness = harness
        self._places = asyncio.Semaphore(concurrency)
        self._tasks: dict[Lease, asyncio.Task[None]] = {}

    def leases(self) -> list[Lease]:
        """The leases this process holds."""
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
            await self._places.acquire()
            try:
                started = await self._next()
            except BaseException:
                self._places.release()
                raise
            task = asyncio.create_task(self._run(started))
            self._tasks[started.lease] = task

    async def drain(self, grace_seconds: float) -> None:
        """Let running turns end, and give those back that do not within the grace.

        Args:
            grace_seconds: how long to wait.
        """
        if not self._tasks:
            return
        log.info("draining", turns=len(self._tasks), grace_seconds=grace_seconds)
        await asyncio.wait(self._tasks.values(), timeout=grace_seconds)
        rest = dict(self._tasks)
        for task in rest.values():
            task.cancel()
        await asyncio.gather(*rest.values(), return_exceptions=True)
        for lease in rest:
            await self._hand_back(lease)

    async def _hand_back(self, lease: Lease) -> None:
        try:
            await self._attempts.hand_back(lease)
            log.info("handed_back", turn=lease.turn_id)
        except AWAY as error:
            # Its lease runs out.
            log.warning("redis_away", turn=lease.turn_id, error=str(error))

    async def _next(self) -> Started:
        while True:
            if (turn_id := await until_back(lambda: self._attempts.take(BLOCK_SECONDS))) is None:
                continue
            if (started := await self._start(turn_id)) is not None:
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
            # Where Redis is away the turn is given to another worker after the time of a lease.
            with suppress(TimeoutError):
                if (started := await asyncio.wait_for(starting, REPLY_SECONDS)) is not None:
                    await self._hand_back(started.lease)
            raise

    async def _run(self, started: Started) -> None:
        slot = Slot(self._places)
        try:
            await self._harness.run(started, slot)
        except FencedError:
            log.info("turn_ended_elsewhere", turn=started.lease.turn_id)
        except StackLostError as error:
            # As below: by then the stack may have started anew.
            log.warning("stack_lost", turn=started.lease.turn_id, error=str(error))
        except Exception:
            # The lease runs out and the turn is tried again, here or by another worker.
            log.exception("attempt_broke_off", turn=started.lease.turn_id)
        finally:
            del self._tasks[started.lease]
            slot.free()
