"""Turns that have ended, from where servers take them to settle them: each is given to one server."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from k8gentai.agents.contract.turn import Item
from k8gentai.workers.queue import keys
from k8gentai.workers.queue.connection import BLOCK_SECONDS, sent_once
from k8gentai.workers.queue.record import AcceptedTurn, Status, TurnRecord
from k8gentai.workers.queue.scripts import prepared
from k8gentai.workers.queue.turns import TurnNotFoundError, Turns

RECLAIM_SECONDS = 30
"""After this long another server settles what the first one took and did not report."""

_DONE: frozenset[Status] = frozenset({"completed", "incomplete", "cancelled"})
"""The ends of a turn after which nothing runs it again."""

_PAGE = 1_000
"""Entries read from Redis at once."""

_FORGOTTEN_SECONDS = 600
"""After this long without a sign of life a server's name is removed from those that settle."""


class FinishedTurns:
    """The turns that one server settles.

    Every method may raise one of :data:`k8gentai.workers.queue.connection.AWAY` when Redis is away.

    Args:
        redis: a client from :func:`k8gentai.workers.queue.connection.connect`.
        turns: all turns in it.
        server: a name for this process, which no other server has.
        keep_seconds: the seconds that a turn stays readable in Redis after it was settled.
    """

    def __init__(self, redis: Redis, turns: Turns, server: str, *, keep_seconds: int = 86_400) -> None:
        # redis-py types a reply as all that any of its modes gives; ours gives bytes.
        self._redis: Any = redis
        self._turns = turns
        self._server = server
        self._keep_seconds = keep_seconds
        self._settled = prepared(redis, "settled")
        self._drop_history = prepared(redis, "drop_history")
        self._forget_servers = prepared(redis, "forget_servers")
        self._entries: dict[str, bytes] = {}
        """The turns that are being settled, each with its entry in the stream of ended turns."""

    async def ids(self) -> AsyncIterator[str]:
        """Yield ids of ended turns that are to be settled, without end.

        Each goes to one server, and to another one if the first has not called :meth:`settled` for it within
        30 seconds; so settling must be idempotent. This server itself is given it again after :meth:`put_off`.
        After an error this is to be called anew: then it yields first what Redis gave to this server and is not
        being settled, as where the answer was lost.
        """
        await self._join_servers()
        found = await self._given()
        while True:
            for entry_id, turn_id in found:
                if self._entries.get(turn_id) != entry_id:
                    self._entries[turn_id] = entry_id
                    yield turn_id
            found = await self._next()

    def put_off(self, turn_id: str) -> None:
        """Have :meth:`ids` yield a turn again after a while, unless it was settled: it could not be."""
        self._entries.pop(turn_id, None)

    async def _given(self) -> list[tuple[bytes, str]]:
        """Return the entries that this server was given and has not settled, each with its turn's id.

        Reading them as those of a consumer would put off the time after which they go to another server.
        """
        given: list[tuple[bytes, str]] = []
        first = "-"
        while ids := await self._given_ids(first):
            entries = self._redis.pipeline(transaction=False)
            for entry_id in ids:
                entries.xrange(keys.FINISHED, entry_id, entry_id)
            given += _finished(entry for found in await entries.execute() for entry in found)
            first = f"({ids[-1].decode()}"
        return given

    async def _given_ids(self, first: str) -> list[bytes]:
        """Return a page of the ids of the entries that this server was given, from the first one on."""
        found = await self._redis.xpending_range(keys.FINISHED, keys.SERVERS, first, "+", _PAGE, self._server)
        return [each["message_id"] for each in found]

    async def _next(self) -> list[tuple[bytes, str]]:
        """Return the entries that no server has been given, or has settled in time; waits a while for one."""
        # Sent again, they would give what comes next, and not what the lost answer held.
        with sent_once():
            _, claimed, _ = await self._redis.xautoclaim(
                keys.FINISHED, keys.SERVERS, self._server, min_idle_time=RECLAIM_SECONDS * 1000, count=_PAGE
            )
            if claimed:
                # A fault of another command must not lose them.
                return _finished(claimed)
            found = await self._redis.xreadgroup(
                keys.SERVERS, self._server, {keys.FINISHED: ">"}, count=_PAGE, block=BLOCK_SECONDS * 1000
            )
        return _finished(entry for _, entries in found for entry in entries)

    async def _join_servers(self) -> None:
        try:
            await self._redis.xgroup_create(keys.FINISHED, keys.SERVERS, id="0", mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise
        await self._forget_servers(idle=_FORGOTTEN_SECONDS * 1000)

    async def settled(
        self,
        turn_id: str,
        load_history: Callable[[TurnRecord], Awaitable[list[Item]]],
        written: Status | None = None,
    ) -> bool:
        """Note that a turn is in the SQL store and its conversation, and let the conversation's next turn go.

        Args:
            turn_id: one that :meth:`ids` gave.
            load_history: gives the history for the turn that waited.
            written: the status with which it is in the store; None where it was deleted.

        Returns:
            Whether the turn still has that status; else nothing was done, and it is to be written again.
        """
        while entry := self._entries.get(turn_id):
            following, history = await self._following(turn_id, load_history)
            outcome = await self._settled(
                json.dumps(history),
                id=turn_id,
                written=written,
                entry=entry.decode(),
                keep=self._keep_seconds,
                following=following,
            )
            if outcome == b"changed":
                return False
            if outcome == b"ok":
                self._entries.pop(turn_id, None)
                if await self._redis.hexists(keys.TURN + turn_id, "deleted"):
                    await self._turns.forget(turn_id)
                await self._drop_histories(turn_id)
                return True
        # It was given a second time meanwhile, and settled by who was given it first.
        return True

    async def _drop_histories(self, turn_id: str) -> None:
        """Drop the history of a settled turn, and of the one that it answers, unless something may run them again.

        A history is as long as all that came before it: those of a chain of turns would grow with its square.
        """
        if answered := await self._drop_history_of(turn_id):
            await self._drop_history_of(answered)

    async def _drop_history_of(self, turn_id: str) -> str | None:
        """Drop a turn's history, if it may be dropped. Returns the turn that this one answers, if any."""
        found = await self._redis.hmget(keys.TURN + turn_id, "status", "answered", "accepted")
        if None in (found[0], found[2]):
            return None
        status, answered, record = found[0].decode(), found[1], json.loads(found[2])
        replay = record.get("replay") or {}
        before = None if replay.get("retry") else replay.get("of")
        keeps = AcceptedTurn.model_validate(record).keep_history
        if (status in _DONE or (status == "suspended" and answered)) and not keeps:
            if replay:
                replay["turn"]["history"] = []
            await self._drop_history(json.dumps(record), id=turn_id)
        return before

    async def _following(
        self, turn_id: str, load_history: Callable[[TurnRecord], Awaitable[list[Item]]]
    ) -> tuple[str, list[Item]]:
        """Return the turn that waits behind this one in its conversation, if any, and its history."""
        conversation = await self._redis.hget(keys.TURN + turn_id, "conversation")
        if not conversation:
            return "", []
        waiting = await self._redis.lindex(keys.LANE + conversation.decode(), 1)
        if waiting is None:
            return "", []
        try:
            record = await self._turns.get(waiting.decode())
        except TurnNotFoundError:
            return waiting.decode(), []
        return waiting.decode(), await load_history(record) if record.status == "queued" else []


def _finished(entries: Iterable[tuple[bytes, dict[bytes, bytes]]]) -> list[tuple[bytes, str]]:
    """Return the ids of entries in the stream of ended turns, each with its turn's id."""
    return [(entry_id, fields[b"turn"].decode()) for entry_id, fields in entries]
