"""Reads turns for callers: as they stand, or as they go on. Reading never touches a turn."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from typing import Any, Protocol

from k8gentai.agents.contract.events import Event, TurnAccepted, TurnCancelled, TurnEnd, TurnFailed
from k8gentai.providers.errors import server_stopping, store_away_meanwhile
from k8gentai.providers.host.access import Access
from k8gentai.workers.queue.connection import AWAY
from k8gentai.workers.queue.record import TurnRecord
from k8gentai.workers.queue.turns import TurnNotFoundError, Turns

_PATIENCE_SECONDS = 30.0
"""The seconds that somebody who waits for a turn's end without word of it waits while Redis is away. A stream goes
on for as long as its client reads it."""

_RETRY_SECONDS = 0.25
_LOST = TurnFailed(code="turn_lost", message="Redis lost its data, and this turn with them")


class Fold(Protocol):
    """Makes what an API shows of a turn from the turn's events."""

    ended_at: float | None
    """The time at which the turn ended (Unix seconds). Set before its last event is fed, as one that the release
    before wrote carries no time."""

    def feed(self, event: Event) -> list[dict[str, Any]]:
        """Take the next event. Returns what the API's stream shows of it, possibly nothing."""
        ...


class TurnReader:
    """Turns in Redis as the current caller may see them.

    Args:
        turns: turns in Redis.
        access: the host's policy.
    """

    def __init__(self, turns: Turns, access: Access) -> None:
        self._turns = turns
        self._access = access
        self._stopping = asyncio.Event()

    def stop_waiting(self) -> None:
        """Answer whoever waits for a turn, as the server is to stop. The turn goes on without them."""
        self._stopping.set()

    async def record(self, turn_id: str, action: str, *, unkept: bool = False) -> TurnRecord:
        """Return the turn, if the caller may do that (read, update, delete) to it.

        Args:
            turn_id: the turn.
            action: the action of the caller.
            unkept: whether it is also returned where the client asked not to keep it, and it waits for a person.

        Raises:
            TurnNotFoundError: also where it may not, and where the client asked not to keep it.
        """
        record = await self._turns.get(turn_id)
        waits = unkept and record.status == "suspended"
        forgotten = record.settled and not record.store and not waits
        if forgotten or not self._access.allows(action, turn_id, record.owner):
            raise TurnNotFoundError(turn_id)
        return record

    async def created(self, accepted: TurnRecord) -> TurnRecord:
        """Return a turn for the caller that it was accepted for just now, which is told how it ends in any case.

        Args:
            accepted: the turn as it was accepted.
        """
        try:
            return await self.record(accepted.turn.id, "read")
        except TurnNotFoundError:
            # It was rolled back or deleted, or has ended and was not to be kept. Its events may be there.
            return accepted.model_copy(update={"accepted_at": await self._turns.now()})

    async def so_far(self, record: TurnRecord) -> tuple[TurnRecord, list[Event]]:
        """Return the turn's events, and its record as it stands with the last of them."""
        events = [event for _, event in await self._turns.events(record.turn.id)]
        if events and isinstance(events[-1], TurnEnd) and record.ended_at is None:
            # It ended between the two reads.
            record = await self._turns.get(record.turn.id)
        return record, events

    async def stream(
        self, fold: Fold, turn_id: str, patience: float = math.inf, *, created: TurnRecord | None = None
    ) -> AsyncIterator[dict[str, Any]]:
        """Yield what the fold makes of the turn's events, those to come included.

        Args:
            fold: makes it.
            turn_id: the turn.
            patience: for how many seconds Redis may be away.
            created: the turn, where the caller is whoever it was accepted for, and is told of its end in any case:
                cancelled where it was deleted, and failed where Redis lost it.

        Raises:
            One of :data:`AWAY`: it is away for longer.
            TurnNotFoundError: the turn was deleted.
        """
        begun = False
        try:
            async for event, ended_at in self._follow(turn_id, patience):
                begun, fold.ended_at = True, ended_at
                for shown in fold.feed(event):
                    yield shown
        except TurnNotFoundError:
            if created is None:
                raise
            fold.ended_at = await self._turns.now()
            end = _LOST if await self._turns.lost(created) else TurnCancelled()
            for event in (end,) if begun else (TurnAccepted(), end):
                for shown in fold.feed(event):
                    yield shown

    async def wait(self, fold: Fold, turn_id: str, *, created: TurnRecord | None = None) -> None:
        """Feed the fold the turn's events to their end.

        Args:
            fold: makes what is shown of them.
            turn_id: the turn.
            created: as in :meth:`stream`.

        Raises:
            ApiError: the server stops before that, or Redis is away for long (503).
            TurnNotFoundError: the turn was deleted.
        """

        async def to_the_end() -> None:
            async for _ in self.stream(fold, turn_id, _PATIENCE_SECONDS, created=created):
                pass

        ending = asyncio.create_task(to_the_end())
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait((ending, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not ending.done():
                raise server_stopping(turn_id)
            await ending
        except AWAY:
            raise store_away_meanwhile(turn_id) from None
        finally:
            ending.cancel()
            stopping.cancel()

    async def _follow(self, turn_id: str, patience: float) -> AsyncIterator[tuple[Event, float | None]]:
        """Yield the turn's events to its end, the last with the time of it; while Redis is away it waits."""
        seq = 0
        away_since: float | None = None
        while True:
            try:
                async for position, event in self._turns.follow(turn_id, seq):
                    ended_at = await self._ended_at(turn_id, event) if isinstance(event, TurnEnd) else None
                    seq, away_since = position, None
                    yield event, ended_at
                return
            except AWAY:
                away_since = away_since or time.monotonic()
                if time.monotonic() - away_since > patience:
                    raise
                await asyncio.sleep(_RETRY_SECONDS)

    async def _ended_at(self, turn_id: str, end: TurnEnd) -> float | None:
        """Return when the turn ended (Unix seconds). An event of the release before does not say it, and nothing
        does where such a turn was deleted meanwhile.
        """
        if end.at is not None:
            return end.at
        try:
            return (await self._turns.get(turn_id)).ended_at
        except TurnNotFoundError:
            return None
