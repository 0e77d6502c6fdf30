"""CONTRACT SKELETON - the bodies come next; signatures hold.

The server's side of turns: accept, read, follow, cancel, settle.
"""

from collections.abc import AsyncIterator, Awaitable, Callable

from redis.asyncio import Redis

from k8gentai.agents.events import Event
from k8gentai.agents.turn import Item
from k8gentai.workers.record import AcceptedTurn, Owner, Status, TurnRecord


class TurnNotFoundError(LookupError):
    """No such turn is kept in Redis (never accepted, deleted, or expired after it was settled)."""


class QueueFullError(Exception):
    """Nothing was written. ``retry_after`` is in seconds."""

    retry_after: int


class IdempotencyConflictError(Exception):
    """The same idempotency key came with a different request."""


class Turns:
    def __init__(self, redis: Redis, *, queue_limit: int = 10_000, keep_seconds: int = 86_400) -> None:
        """
        Args:
            redis: a client with ``decode_responses=False``; connections are opened on first use.
            queue_limit: how many turns of one framework may wait.
            keep_seconds: how long an ended turn's events stay readable after it was settled.
        """

    async def accept(
        self,
        accepted: AcceptedTurn,
        load_history: Callable[[], Awaitable[list[Item]]],
        *,
        idempotency_key: str | None = None,
    ) -> str:
        """Keep and queue a turn, in one atomic step. Returns its id, or the id of the turn that came
        earlier with the same key.

        ``load_history`` is called for the history that stands now; where the conversation has a turn
        under way it is not called: the turn waits and gets its history when it is released by `settled`.

        Raises: QueueFullError, IdempotencyConflictError, redis.exceptions.ConnectionError/TimeoutError.
        """

    async def get(self, turn_id: str) -> TurnRecord:
        """Raises: TurnNotFoundError."""

    async def events(self, turn_id: str, after: int = 0) -> list[tuple[int, Event]]:
        """The events there are now, with seq > after."""

    def follow(self, turn_id: str, after: int = 0) -> AsyncIterator[tuple[int, Event]]:
        """The events with seq > after, those to come included, up to and with the turn's last."""

    async def cancel(self, turn_id: str) -> Status:
        """End the turn as cancelled, at once, whoever runs it. Returns the status found: a turn that had
        ended is left as it is."""

    async def unsettled(self, owner: Owner | None) -> list[str]:
        """Ids of that owner's turns which are not in the SQL store yet, newest first."""

    async def delete(self, turn_id: str) -> None:
        """Forget the turn and its events (cancel it first if it runs)."""

    async def finished(self, server: str) -> AsyncIterator[str]:
        """Ids of ended turns to be settled, for ever; each goes to one server, and to another if that one
        did not report `settled` within 30 s (so settling must be idempotent)."""

    async def settled(
        self, turn_id: str, load_history: Callable[[TurnRecord], Awaitable[list[Item]]]
    ) -> None:
        """The turn is in the SQL store and its conversation. Releases the conversation's next turn, whose
        history ``load_history`` gives."""
