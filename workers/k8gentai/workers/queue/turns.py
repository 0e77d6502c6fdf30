"""The server's side of turns: accept, read, follow, cancel, delete."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

from redis.asyncio import Redis

from k8gentai.agents.contract.events import (
    Event,
    TurnAccepted,
    TurnCancelled,
    TurnEnd,
    UnknownEvent,
    parse_event,
)
from k8gentai.agents.contract.turn import Item, Turn
from k8gentai.workers.queue import keys
from k8gentai.workers.queue.admission import (
    AnsweredError,
    ConversationBusyError,
    IdempotencyConflictError,
    ParentEndedError,
    QueueFullError,
    Terms,
    accept_arguments,
)
from k8gentai.workers.queue.grants import Parent, signing_key, verified
from k8gentai.workers.queue.notifications import Notifications
from k8gentai.workers.queue.record import ENDED, AcceptedTurn, Owner, Status, TurnRecord, principal_of
from k8gentai.workers.queue.rq_jobs import job_fields, rq_now
from k8gentai.workers.queue.scripts import prepared

_STANDING = (TurnRecord.model_fields.keys() - AcceptedTurn.model_fields.keys() - {"last_seq"}) | {"accepted_at"}
"""The fields of a turn's record that change and have a field of their own in its hash."""

_PAGE = 1_000
"""Entries read from Redis at once."""

_AHEAD = 100
"""Events read from Redis at once for somebody who follows a turn, and may take them slowly."""

_QUIET_SECONDS = 15
"""After this long without word of a new event, whoever follows a turn looks: it may have been deleted, or run by
a worker whose version publishes no word."""


class TurnNotFoundError(LookupError):
    """No such turn is kept in Redis: never accepted, deleted, or expired after it was settled."""


class TurnDeletedError(TurnNotFoundError):
    """The turn was deleted, and a server may still be about to find that out."""


class Turns:
    """Turns as they stand in Redis.

    Every method may raise one of :data:`k8gentai.workers.queue.connection.AWAY` when Redis is away.

    Args:
        redis: a client from :func:`k8gentai.workers.queue.connection.connect`.
        queue_limit: the number of turns that may wait, of all agents together.
        keep_seconds: the seconds that a turn stays readable in Redis after it was settled.
    """

    def __init__(self, redis: Redis, *, queue_limit: int = 10_000, keep_seconds: int = 86_400) -> None:
        # redis-py types a reply as all that any of its modes gives; ours gives bytes.
        self._redis: Any = redis
        self._queue_limit = queue_limit
        self._keep_seconds = keep_seconds
        self._accept = prepared(redis, "accept")
        self._cancel = prepared(redis, "cancel")
        self._delete = prepared(redis, "delete")
        self._notifications = Notifications(redis)

    async def accept(
        self,
        accepted: AcceptedTurn,
        load_history: Callable[[], Awaitable[list[Item]]],
        terms: Terms | None = None,
    ) -> str:
        """Keep and queue a turn in one atomic step.

        Args:
            accepted: the turn; its ``turn.history`` is ignored.
            load_history: gives the history as it stands now. Where the conversation has a turn under way it
                is not called: the new turn waits, and gets its history when :meth:`settled` lets it go.
            terms: on what terms.

        Returns:
            The turn's id, or the id of the turn that the same request brought before: the same idempotency
            key, or the SDK's earlier try.

        Raises:
            QueueFullError, ConversationBusyError, IdempotencyConflictError: nothing was written.
            AnsweredError: the turn this one is to continue waits no more; nothing was written.
            ParentEndedError: the turn whose tool asked for this one has ended; nothing was written.
        """
        terms = terms or Terms()
        turn = accepted.turn
        conversation = turn.conversation or ""
        while True:
            ahead, version = await self._lane(conversation)
            history = "" if ahead else json.dumps(await load_history())
            outcome = await self._accept(
                accepted.model_dump_json(exclude={"turn": {"history"}}),
                history,
                TurnAccepted().model_dump_json(),
                *_flat(job_fields(turn.id, turn.agent, accepted.pool)),
                **accept_arguments(
                    accepted,
                    terms,
                    version=version,
                    queue_limit=self._queue_limit,
                    keep_seconds=self._keep_seconds,
                ),
            )
            match outcome:
                case [b"accepted", turn_id]:
                    return str(turn_id.decode())
                case [b"full", b"agent"]:
                    raise QueueFullError(turn.agent, terms.agent_limit or 0)
                case [b"full", _]:
                    raise QueueFullError(None, self._queue_limit)
                case [b"busy", turn_id]:
                    raise ConversationBusyError(turn_id.decode())
                case [b"answered", other]:
                    raise AnsweredError(other.decode() or None)
                case [b"orphaned"]:
                    raise ParentEndedError
                case [b"conflict", *_]:
                    raise IdempotencyConflictError(terms.idempotency_key)
            # The conversation moved while its history was read: read it again.

    async def parent(self, header: str) -> Parent | None:
        """Return what a worker's header says of the turn it asks for; None where no worker of this Redis
        sent it.
        """
        return verified(header, await signing_key(self._redis))

    async def _lane(self, conversation: str) -> tuple[int, str]:
        """Return how many turns of a conversation are under way, and its version."""
        if not conversation:
            return 0, "0"
        lane = keys.LANE + conversation
        async with self._redis.pipeline(transaction=False) as pipe:
            ahead, version = await pipe.llen(lane).get(lane + keys.VERSION).execute()
        return ahead, version.decode() if version else "0"

    async def get(self, turn_id: str) -> TurnRecord:
        """Return how the turn stands; its history is empty once it is settled and nothing runs it again.

        Raises:
            TurnNotFoundError: there is none; TurnDeletedError: there was, a moment ago.
        """
        raw: dict[bytes, bytes] = await self._redis.hgetall(keys.TURN + turn_id)
        fields = {name.decode(): value.decode() for name, value in raw.items()}
        if not fields:
            raise TurnNotFoundError(turn_id)
        if "deleted" in fields:
            raise TurnDeletedError(turn_id)
        record = json.loads(fields["accepted"])
        record["turn"]["history"] = json.loads(fields.get("history", "[]"))
        return TurnRecord.model_validate(
            {
                **record,
                "last_seq": fields["seq"],
                **{name: fields[name] for name in _STANDING if name in fields},
            }
        )

    async def lost(self, record: TurnRecord) -> bool:
        """Return whether Redis has lost its data since a turn was accepted, and the turn with them.

        Args:
            record: the turn, as it stood when it was there.
        """
        since = await self._redis.get(keys.KEPT_SINCE)
        return since is None or record.accepted_at < float(since)

    async def now(self) -> float:
        """Redis' time, Unix time in seconds: what one machine dated is compared with no other."""
        seconds, microseconds = await self._redis.time()
        return float(seconds + microseconds / 1_000_000)

    async def events(self, turn_id: str, after: int = 0) -> list[tuple[int, Event]]:
        """Return the events that are there now, with ``seq`` above ``after``, but those of unknown types."""
        entries = map(_entry, await self._redis.xrange(_events(turn_id), min=f"({after}-0"))
        return [(seq, event) for seq, event in entries if not isinstance(event, UnknownEvent)]

    async def follow(self, turn_id: str, after: int = 0) -> AsyncIterator[tuple[int, Event]]:
        """Yield the events with ``seq`` above ``after``, those to come included, up to and with the turn's last.
        Those of unknown types are left out.

        Raises:
            TurnNotFoundError: there is no such turn, or it was deleted meanwhile.
        """
        stream = _events(turn_id)
        news = asyncio.Event()

        def heard(_: bytes | None) -> None:
            news.set()

        with self._notifications.listening(stream, heard):
            while True:
                found = await self._redis.xrange(stream, min=f"({after}-0", count=_AHEAD)
                if not found and not await self._redis.exists(stream):
                    raise TurnNotFoundError(turn_id)
                for after, event in map(_entry, found):
                    if isinstance(event, UnknownEvent):
                        continue
                    yield after, event
                    if isinstance(event, TurnEnd):
                        return
                if len(found) < _AHEAD:
                    await _within(_QUIET_SECONDS, news)
                    news.clear()

    async def cancel(self, turn_id: str) -> Status:
        """End the turn as cancelled at once, whoever runs it; its worker is told to stop. What it asked a person
        can be answered no more.

        Returns:
            The status the turn had. One that had ended, and does not wait for a person, is left as it was.

        Raises:
            TurnNotFoundError
            AnsweredError: another turn continues it.
        """
        match await self._cancel(**self._ending(turn_id)):
            case [b"answered", by]:
                raise AnsweredError(by.decode())
            case [bytes() as status]:
                found: Status = status.decode()  # type: ignore[assignment]  # what the script returns
                return found
        raise TurnNotFoundError(turn_id)

    def _ending(self, turn_id: str) -> dict[str, Any]:
        """Return what a script takes that ends a turn as cancelled."""
        event = TurnCancelled().model_dump_json()
        return {"id": turn_id, "event": event, "ended": rq_now(), "keep": self._keep_seconds}

    async def unsettled(self, owner: Owner | None) -> list[str]:
        """Return ids of that owner's turns which are not in the SQL store yet, newest first."""
        ids: list[bytes] = await self._redis.zrange(keys.UNSETTLED + principal_of(owner), 0, _PAGE - 1, desc=True)
        return [turn_id.decode() for turn_id in ids]

    async def in_conversation(self, conversation: str) -> list[str]:
        """Return ids of the conversation's turns that are not in the SQL store yet, in their order."""
        ids: list[bytes] = await self._redis.lrange(keys.LANE + conversation, 0, -1)
        return [turn_id.decode() for turn_id in ids]

    async def to_join_before(self, turn: Turn) -> list[str]:
        """Return ids of turns that have ended before one in its conversation, and whose items have no place in it
        yet, in their order."""
        lane = await self.in_conversation(str(turn.conversation))
        ahead = list(itertools.takewhile(lambda each: each != turn.id, lane))
        async with self._redis.pipeline(transaction=False) as pipe:
            for turn_id in ahead:
                pipe.hmget(keys.TURN + turn_id, "status", "position")
            found = await pipe.execute()
        return [
            turn_id
            for turn_id, (status, position) in zip(ahead, found, strict=True)
            if status is not None and status.decode() in ENDED and position is None
        ]

    async def recent(self, limit: int, status: str | None = None) -> list[TurnRecord]:
        """Return the newest turns that Redis keeps, newest first. For people: it walks over all keys.

        Args:
            limit: the most turns to return.
            status: only those that stand so (:attr:`TurnRecord.standing`); all where it is None.
        """
        ids = [
            key.decode().removeprefix(keys.TURN)
            async for key in self._redis.scan_iter(match=f"{keys.TURN}*", count=_PAGE, _type="hash")
            if not key.endswith(keys.JOURNAL.encode())
        ]
        records: list[TurnRecord] = []
        # Ids begin with the time they were made at.
        for turn_id in sorted(ids, reverse=True):
            if len(records) == limit:
                break
            with suppress(TurnNotFoundError):
                record = await self.get(turn_id)
                if status in (None, record.standing):
                    records.append(record)
        return records

    async def delete(self, turn_id: str) -> list[str]:
        """Forget a turn and its events, and the turns that its tool calls asked for. One that is queued, runs, or
        waits for a person is cancelled.

        Returns:
            The ids of the turns that were forgotten.

        Raises:
            TurnNotFoundError
        """
        found = await self._delete(**self._ending(turn_id))
        if not found:
            raise TurnNotFoundError(turn_id)
        return [each.decode() for each in found]

    async def with_children(self, turn_id: str) -> list[str]:
        """Return the ids of a turn and of all that tool calls asked for, its own and those of such turns. One that
        was to run a failed one again and has not begun has none of its own."""
        status, attempt, retries = await self._redis.hmget(keys.TURN + turn_id, "status", "attempt", "retries")
        if retries and (status, attempt) == (b"queued", b"0"):
            return [turn_id]
        found = [turn_id]
        for each in found:
            found += [child.decode() for child in await self._redis.smembers(keys.TURN + each + keys.CHILDREN)]
        return found

    async def forget(self, turn_id: str) -> None:
        """Delete all that is kept of a turn that was settled, but the keys that lead to it."""
        turn = keys.TURN + turn_id
        parts = (keys.EVENTS, keys.JOURNAL, keys.BEFORE, keys.CHILDREN)
        await self._redis.delete(turn, *(turn + part for part in parts))


async def _within(seconds: float, happened: asyncio.Event) -> None:
    """Wait until it has happened, or for that long."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await happened.wait()


def _events(turn_id: str) -> str:
    return keys.TURN + turn_id + keys.EVENTS


def _entry(entry: tuple[bytes, dict[bytes, bytes]]) -> tuple[int, Event | UnknownEvent]:
    entry_id, fields = entry
    at = fields.get(b"at")
    return int(entry_id.partition(b"-")[0]), parse_event(fields[b"e"], None if at is None else float(at))


def _flat(fields: dict[str, Any]) -> list[Any]:
    return [part for pair in fields.items() for part in pair]
