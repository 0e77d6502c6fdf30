"""Settles finished turns: writes each to the SQL store as its owner, joins its items to its conversation,
and lets the conversation's next turn go. Nobody needs to be listening for that."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial

import structlog

from k8gentai.agents.contract.events import Event
from k8gentai.agents.contract.turn import Item
from k8gentai.providers.errors import ApiError
from k8gentai.providers.host.access import acting_as
from k8gentai.providers.host.storage import STORAGE_AWAY
from k8gentai.providers.turns.history import Histories
from k8gentai.providers.turns.store import ResponseStore, StoredResponse
from k8gentai.workers.queue.connection import AWAY, until_back
from k8gentai.workers.queue.finished_turns import RECLAIM_SECONDS, FinishedTurns
from k8gentai.workers.queue.record import Status, TurnRecord
from k8gentai.workers.queue.turns import TurnNotFoundError, Turns

log = structlog.get_logger(__name__)

_RETRY_SECONDS = (0.1, 0.25, 0.5, 1.0)
_AT_ONCE = 8
_AWAY = (*AWAY, *STORAGE_AWAY)

type OnSettled = Callable[[TurnRecord, list[Event]], Awaitable[None]]
"""The work of a front on a turn that has ended, before the turn counts as settled; called as the turn's owner, and
again should it, or what comes after it, fail."""


class Settler:
    """Settles turns in the background, for as long as the server runs.

    Args:
        turns: turns in Redis.
        finished: the ended turns that this server settles.
        store: finished responses.
        histories: conversations.
        on_settled: the work of fronts on each turn that has ended, in their order.
    """

    def __init__(
        self,
        turns: Turns,
        finished: FinishedTurns,
        store: ResponseStore,
        histories: Histories,
        on_settled: Sequence[OnSettled] = (),
    ) -> None:
        self._turns = turns
        self._finished = finished
        self._store = store
        self._histories = histories
        self._on_settled = on_settled
        self._task: asyncio.Task[None] | None = None
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._catching_up: dict[str, asyncio.Event] = {}
        """Turns that are being written because a later one continues them, each with what is set once they
        are: the others of the chain then find them written."""

    def start(self) -> None:
        """Begin, in the running event loop; a second call changes nothing."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="settle")

    async def stop(self) -> None:
        """Stop; what is not settled is left to another server, or to the next start."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _run(self) -> None:
        failures = 0
        async with asyncio.TaskGroup() as tasks:
            while True:
                try:
                    async for turn_id in self._finished.ids():
                        failures = 0
                        await self._room.acquire()
                        task = tasks.create_task(self._try(turn_id))
                        task.add_done_callback(lambda _: self._room.release())
                except AWAY as error:
                    log.warning("redis_away", error=str(error))
                except Exception:
                    log.exception("settling_failed")
                delay = _RETRY_SECONDS[min(failures, len(_RETRY_SECONDS) - 1)]
                failures += 1
                await asyncio.sleep(delay)

    async def _try(self, turn_id: str) -> None:
        """Settle one turn, as soon as Redis and the database do their work. What fails is given out again after a
        while."""
        settle = partial(self.settle, turn_id)
        try:
            await until_back(settle, patience=RECLAIM_SECONDS, away=_AWAY, turn=turn_id)
        except STORAGE_AWAY as error:
            log.warning("settling_put_off", turn=turn_id, error=str(error) or repr(error))
        except Exception:
            # One turn that cannot be settled must not hold up the others.
            log.exception("settling_failed", turn=turn_id)
        finally:
            self._finished.put_off(turn_id)

    async def settle(self, turn_id: str) -> None:
        """Settle a finished turn; doing it twice is doing it once."""
        settled = False
        while not settled:
            written = await self._write(turn_id)
            settled = await self._finished.settled(turn_id, self._next_history, written)

    async def _write(self, turn_id: str) -> Status | None:
        """Write a turn where it is kept, unless that was done. Returns its status; None where it was deleted."""
        try:
            record = await self._turns.get(turn_id)
            if await self._is_ahead(record):
                before, owner = str(record.previous_response_id), record.owner
                # Many may wait here, and a record holds a whole history.
                del record
                with acting_as(owner):
                    await self._put_all_before(before)
                record = await self._turns.get(turn_id)
        except TurnNotFoundError:
            log.info("turn_deleted", turn=turn_id)
            return None
        if not record.settled:
            with acting_as(record.owner):
                await self._keep(record)
        return record.status

    async def _keep(self, record: TurnRecord) -> None:
        turn = record.turn
        events = [event for _, event in await self._turns.events(turn.id)]
        stored = StoredResponse.of(record, events)
        response = stored.response
        if record.store:
            await self._store.put(stored)
        for keep in self._on_settled:
            await keep(record, events)
        await self._histories.join(record, response)
        await self._unless_deleted(record)
        log.info("turn_settled", turn=turn.id, agent=turn.agent, status=response["status"])

    async def _is_ahead(self, record: TurnRecord) -> bool:
        """Return whether a turn is to be written, and the one that it continues is not written yet."""
        if record.settled or not record.store or not record.previous_response_id:
            return False
        return await self._unsettled(record.previous_response_id) is not None

    async def _put_all_before(self, last: str) -> None:
        """Write the responses up to one that are still to be settled, each after the one that it continues: it
        would have to hold its whole history without.
        """
        written = asyncio.Event()
        chain: list[str] = []
        try:
            async for turn_id in self._unsettled_before(last):
                self._catching_up[turn_id] = written
                chain.append(turn_id)
            for turn_id in reversed(chain):
                await self._try_previous(turn_id)
        finally:
            for turn_id in chain:
                del self._catching_up[turn_id]
            written.set()

    async def _unsettled_before(self, last: str) -> AsyncIterator[str]:
        """Yield the turns from one back to the first that is not settled, each continued by the one before. What
        is being written for another turn is waited for, and is yielded where that failed."""
        turn_id: str | None = last
        while turn_id and (record := await self._unsettled(turn_id)):
            before = record.previous_response_id
            # Many may wait here, and a record holds a whole history.
            del record
            if written := self._catching_up.get(turn_id):
                async with _given_back(self._room):
                    await written.wait()
            else:
                yield turn_id
                turn_id = before

    async def _try_previous(self, turn_id: str) -> None:
        try:
            await self._put_previous(turn_id)
        except _AWAY:
            raise
        except Exception:
            # One that cannot be written must not hold up the others.
            log.exception("settling_failed", turn=turn_id)

    async def _put_previous(self, turn_id: str) -> None:
        """Write the response of a turn, unless that was done meanwhile."""
        if record := await self._unsettled(turn_id):
            with acting_as(record.owner):
                events = [event for _, event in await self._turns.events(turn_id)]
                await self._store.put(StoredResponse.of(record, events))
                await self._unless_deleted(record)

    async def _unsettled(self, turn_id: str) -> TurnRecord | None:
        """Return the turn, where it is to be written to the table and is not there yet."""
        if await self._store.has(turn_id):
            return None
        with contextlib.suppress(TurnNotFoundError):
            record = await self._turns.get(turn_id)
            if record.store and not record.settled:
                return record
        return None

    async def _unless_deleted(self, record: TurnRecord) -> None:
        """Delete a turn again that was deleted while it was being written: it must not come back."""
        try:
            await self._turns.get(record.turn.id)
        except TurnNotFoundError:
            await self._store.delete(record.turn.id)

    async def _next_history(self, following: TurnRecord) -> list[Item]:
        with acting_as(following.owner):
            try:
                return await self._histories.before(following)
            except ApiError as error:
                log.warning("history_gone", turn=following.turn.id, error=error.message)
                return []


@contextlib.asynccontextmanager
async def _given_back(room: asyncio.Semaphore) -> AsyncIterator[None]:
    """Leave a turn's room to others for a while."""
    room.release()
    try:
        yield
    finally:
        await room.acquire()
