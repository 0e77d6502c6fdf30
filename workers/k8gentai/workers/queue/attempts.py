"""The worker's side of turns: start an attempt, append its events, hand it back, renew and reap leases."""

import json
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import redis
from pydantic import BaseModel
from redis.asyncio import Redis

from k8gentai.agents.contract.events import Event, TurnEnd, TurnFailed, known, parse_event
from k8gentai.workers.queue import keys
from k8gentai.workers.queue.clock import Clock
from k8gentai.workers.queue.record import AcceptedTurn
from k8gentai.workers.queue.rq_jobs import rq_now
from k8gentai.workers.queue.scripts import prepared

LEASE_SECONDS = 4.0
"""The seconds that a worker may be silent before its turns are given to another, where nothing else is said."""

MAX_ATTEMPTS = 3
"""The number of tries of a turn whose workers die, where nothing else is said."""

JOURNAL_BYTES = 16 * 2**20
"""The bytes that a turn's journal may hold."""
_RESERVE_BYTES = 2**20
"""The bytes that a full journal has left for entries that are short: that a tool began, or that it ran."""
_SHORT_BYTES = 4096
"""The bytes up to which an entry is short."""

HAND_OVERS = 30
"""The number of times that a turn is handed over at most: far more often than workers are stopped while one turn
runs."""

OTHERS_SECONDS = 30.0
"""The seconds that a turn whose worker has not got its agent waits for one that has."""

WITNESS_SECONDS = 20.0
"""The seconds that a turn that is about to be given up waits for the cause of its last crash: far more than a
witness needs on a busy machine."""

_HANDED_OVER = TurnFailed(
    code="worker_lost",
    message=f"the turn was handed over {HAND_OVERS} times, as each worker that ran it was told to end, ended by "
    "a fault of its own, or was lost together with Redis; see the workers' logs",
)
_NOTE_SECONDS = 86_400
_FAR_SECONDS = 30 * 86_400


class FencedError(Exception):
    """Redis refused a write: the attempt lost its lease, or the turn was ended by somebody else."""


class DeclinedBeforeError(Exception):
    """The turn that was taken is one that this worker has declined."""


@dataclass(frozen=True)
class Lease:
    """A worker's hold on a turn while it runs it."""

    turn_id: str
    attempt: int

    @property
    def member(self) -> str:
        """The lease's name in the sorted set of leases."""
        return f"{self.turn_id} {self.attempt}"


class Death(BaseModel):
    """The end of a worker's process, and who is to blame for it."""

    cause: str
    """The words for it behind "its process"."""
    own: bool = False
    """Whether code that it ran ended it: a fault in it, or an exit."""
    turn: str = ""
    """The turn whose code did, if that is known."""
    told: bool = False
    """Whether it had been told to stop, and was killed as it took too long: none of its turns is at fault."""
    ours: bool = False
    """Whether a fault of the worker's own ended it, no agent's: none of its turns is at fault."""


@dataclass(frozen=True)
class Started:
    """A turn that is now this worker's to run."""

    lease: Lease
    last_seq: int
    """The ``seq`` of the last event there is."""
    accepted: AcceptedTurn
    clock: Clock = field(compare=False)
    suspect: bool = False
    """Whether it may be what ended the worker that had it before, and is to run alone."""
    breaks: int = 0
    """The number of attempts in a row that broke off by something that neither the agent nor its worker's end
    did."""
    alone_seconds: float = 0.0
    """The seconds that it had run, at the longest, when it was one of those that may have ended their worker."""


class Attempts:
    """Every write a worker makes about its turns, each fenced by the attempt.

    Args:
        connection: a client from :func:`k8gentai.workers.queue.connection.connect`.
        pool: the pool whose turns the worker runs.
        worker: this worker's name.
        lease_seconds: the seconds that a worker may be silent before its turns are given to another.
        keep_seconds: the seconds for which RQ shows the job of an ended turn.
        only: the ids of the agents whose turns it starts; None for all of its pool.
    """

    def __init__(
        self,
        connection: Redis,
        pool: str,
        worker: str,
        *,
        lease_seconds: float = LEASE_SECONDS,
        keep_seconds: int = 86_400,
        only: Collection[str] | None = None,
    ) -> None:
        # redis-py types a reply as all that any of its modes gives; ours gives bytes.
        self._redis: Any = connection
        self._pool = pool
        self.worker = worker
        self.lease_seconds = lease_seconds
        self._keep_seconds = keep_seconds
        self._only = "\n".join(only or ())
        self._start = prepared(connection, "start")
        self._append = prepared(connection, "append")
        self._record = prepared(connection, "record")
        self._replayed = prepared(connection, "replayed")
        self._hand_back = prepared(connection, "hand_back")
        self._break_off = prepared(connection, "break_off")
        self._decline = prepared(connection, "decline")

    async def take(self, seconds: float) -> str | None:
        """Wait for a turn and take its id from the queue.

        Until :meth:`start` the id stands in RQ's intermediate list, from where :class:`Beat` brings it back
        if this worker dies.

        Args:
            seconds: the seconds to wait.
        """
        queue = keys.RQ_QUEUE + self._pool
        taken = await self._redis.blmove(queue, queue + keys.RQ_INTERMEDIATE, seconds, "LEFT", "RIGHT")
        return taken.decode() if taken else None

    async def start(self, turn_id: str, taking: str | None = None) -> Started | None:
        """Take the lease of a turn, as an id was taken from the queue. May be sent again when the answer was lost.

        Args:
            turn_id: the id that was taken; the dispatch script says which turn that begins.
            taking: tells this taking from every other, where it may be sent again.

        Returns:
            None if there is nothing to run: no turn of ours has that id, it was ended while it waited, it runs
            already, or it is back in the queue, as this worker does not serve its agent.

        Raises:
            DeclinedBeforeError: this worker has declined the turn. It stays taken.
        """
        taking = taking or secrets.token_hex(8)
        outcome = await self._start(
            id=turn_id,
            pool=self._pool,
            worker=self.worker,
            only=self._only,
            lease=self.lease_seconds,
            started=rq_now(),
            far=_FAR_SECONDS,
            taking=taking,
        )
        if outcome[0] == b"declined":
            raise DeclinedBeforeError(turn_id)
        if outcome[0] != b"started":
            return None
        _, attempt, last_seq, accepted, history, suspect, breaks, now, alone, begun = outcome
        record = json.loads(accepted)
        record["turn"]["history"] = json.loads(history)
        lease = Lease(begun.decode(), attempt)
        clock = Clock(float(now))
        kept = AcceptedTurn.model_validate(record)
        return Started(lease, int(last_seq), kept, clock, bool(suspect), breaks, float(alone))

    async def append(self, lease: Lease, first_seq: int, events: list[Event]) -> None:
        """Append events; the last one may end the turn. May be sent again when the answer was lost.

        Args:
            lease: the attempt that writes.
            first_seq: the ``seq`` of the first of these events.
            events: in order.

        Raises:
            FencedError: nothing was written.
        """
        last = events[-1]
        status = last.type.removeprefix("turn.") if isinstance(last, TurnEnd) else ""
        outcome = await self._append(
            *(event.model_dump_json() for event in events),
            id=lease.turn_id,
            attempt=lease.attempt,
            first=first_seq,
            status=status,
            ended=rq_now(),
            keep=self._keep_seconds,
        )
        if outcome != b"ok":
            raise FencedError(lease.turn_id)

    async def record(self, lease: Lease, key: str, value: str, place: str = "{}") -> bool:
        """Write an entry of the turn's journal; take it out where the value is empty.

        Args:
            lease: the attempt.
            key: the entry's.
            value: the value to record.
            place: JSON, what is known of its place among what the agent may go on from; the script adds its
                number and the time.

        Returns:
            Whether there was room for it.

        Raises:
            FencedError: nothing was written.
        """
        limit = JOURNAL_BYTES + (_RESERVE_BYTES if len(value) <= _SHORT_BYTES else 0)
        outcome = await self._record(
            value, id=lease.turn_id, attempt=lease.attempt, key=key, limit=limit, place=place
        )
        if outcome == b"fenced":
            raise FencedError(lease.turn_id)
        return bool(outcome == b"ok")

    async def replayed(self, lease: Lease, models: int, tools: int, effects: int = 0) -> None:
        """Note how many calls and effects the journal answered in this attempt. May be sent again.

        Raises:
            FencedError: nothing was written.
        """
        outcome = await self._replayed(
            id=lease.turn_id, attempt=lease.attempt, models=models, tools=tools, effects=effects
        )
        if outcome == b"fenced":
            raise FencedError(lease.turn_id)

    async def journal(self, lease: Lease) -> dict[str, str]:
        """Return the turn's journal as earlier attempts left it."""
        entries = await self._redis.hgetall(keys.TURN + lease.turn_id + keys.JOURNAL)
        return {key.decode(): value.decode() for key, value in entries.items()}

    async def published(self, lease: Lease) -> list[Event]:
        """Return the events of earlier attempts."""
        entries = await self._redis.xrange(keys.TURN + lease.turn_id + keys.EVENTS)
        return known(parse_event(fields[b"e"]) for _, fields in entries)

    async def before(self, lease: Lease) -> list[Event]:
        """Return the events of the turns that this one continues."""
        entries = await self._redis.lrange(keys.TURN + lease.turn_id + keys.BEFORE, 0, -1)
        return known(map(parse_event, entries))

    async def end_of(self, turn_id: str) -> Event | None:
        """Return the last event of a turn; None where Redis has it no more, or a later release wrote it."""
        entries = await self._redis.xrevrange(keys.TURN + turn_id + keys.EVENTS, count=1)
        return next(iter(known(parse_event(fields[b"e"]) for _, fields in entries)), None)

    async def hand_back(self, lease: Lease) -> str:
        """Give the turn to another worker, without counting it as a crash.

        Returns:
            What became of it: ``queued``, ``failed`` where that was once too often, or ``fenced`` where it was
            lost meanwhile.
        """
        now = await self._hand_back(
            id=lease.turn_id,
            attempt=lease.attempt,
            often=HAND_OVERS,
            event=_HANDED_OVER.model_dump_json(),
            ended=rq_now(),
            keep=self._keep_seconds,
        )
        return str(now.decode())

    async def break_off(
        self, lease: Lease, end: TurnFailed, *, seconds: float, often: int, pause: float = 0.0
    ) -> str:
        """Give a turn back whose attempt broke off, by something that neither the agent nor a dead worker did.

        Args:
            lease: the attempt.
            end: the event that ends a turn which has broken off for too long or too often.
            seconds: the seconds that are too long.
            often: the number of times that is too often.
            pause: how long it is kept from the queue, in seconds, by Redis: any worker puts it back then.

        Returns:
            What became of it: ``queued``, ``failed``, or ``fenced`` where it was lost meanwhile.
        """
        now = await self._break_off(
            id=lease.turn_id,
            attempt=lease.attempt,
            seconds=seconds,
            often=often,
            event=end.model_dump_json(),
            pause=pause,
            ended=rq_now(),
            keep=self._keep_seconds,
        )
        return str(now.decode())

    async def decline(self, lease: Lease, end: TurnFailed) -> str:
        """Give a turn back that this worker cannot run, for want of its agent. It does not start it again.

        Args:
            lease: the attempt.
            end: what the turn ends with that no worker can run.

        Returns:
            What became of it: ``queued``, ``failed``, or ``fenced`` where it was lost meanwhile.
        """
        return await self._declined(lease.turn_id, lease.attempt, end.model_dump_json())

    async def put_back(self, turn_id: str) -> str:
        """Put a turn back that was taken, and that this worker declined before.

        Returns:
            What became of it, as with :meth:`decline`.
        """
        return await self._declined(turn_id, "", "")

    async def _declined(self, turn_id: str, attempt: int | str, end: str) -> str:
        now = await self._decline(
            id=turn_id,
            attempt=attempt,
            worker=self.worker,
            event=end,
            patience=OTHERS_SECONDS,
            ended=rq_now(),
            keep=self._keep_seconds,
        )
        return str(now.decode())


class Leases:
    """Keeps leases alive and finds dead ones; blocking, for the thread that beats while agents compute.

    Args:
        connection: a client from :func:`k8gentai.workers.queue.connection.connect_blocking`.
        pool: whose turns.
        lease_seconds: how long a worker may be silent before its turns are given to another.
        max_attempts: a turn that ended this many workers is failed.
        keep_seconds: how long RQ shows the job of an ended turn.
        witness_seconds: how long a turn that is about to be given up waits for the cause of its last crash.
    """

    def __init__(
        self,
        connection: redis.Redis,
        pool: str,
        *,
        lease_seconds: float,
        max_attempts: int = MAX_ATTEMPTS,
        keep_seconds: int = 86_400,
        witness_seconds: float = 0.0,
    ) -> None:
        self._witness_seconds = witness_seconds
        self._pool = pool
        self._lease_seconds = lease_seconds
        self._max_attempts = max_attempts
        self._keep_seconds = keep_seconds
        self._connection = connection
        self._renew = prepared(connection, "renew")
        self._reap = prepared(connection, "reap")
        self._bury = prepared(connection, "bury")
        self._acquit = prepared(connection, "acquit")

    def renew(self, leases: list[Lease]) -> list[Lease]:
        """Renew these leases; without any, see whether Redis answers. Returns those that were lost meanwhile."""
        if not leases:
            self._connection.ping()
            return []
        members = {lease.member: lease for lease in leases}
        lost = self._renew(*members, pool=self._pool, lease=self._lease_seconds)
        return [members[member.decode()] for member in lost]

    def reap(self, *, buried: bool = False) -> list[tuple[str, str]]:
        """Give the turns of dead workers to the living.

        Args:
            buried: take up only what workers had that are known to be dead: the others may have been kept from
                renewing, as Redis was away.

        Returns:
            Turn ids, each with ``queued`` (runs again), ``taken`` (had not begun) or ``failed`` (given up).
        """
        done = self._reap(
            pool=self._pool,
            lease=self._lease_seconds,
            crashes=self._max_attempts,
            only="buried" if buried else None,
            patience=self._witness_seconds,
            often=HAND_OVERS,
            event=_HANDED_OVER.model_dump_json(),
            ended=rq_now(),
            keep=self._keep_seconds,
        )
        return [(turn_id, what) for turn_id, what in (entry.decode().split() for entry in done)]

    def bury(self, worker: str, death: Death) -> None:
        """Note how a worker's process ended, and have its turns taken up at once."""
        self._bury(pool=self._pool, worker=worker, how=death.model_dump_json(), seconds=_NOTE_SECONDS)

    def acquit(self, worker: str, lost: list[Lease]) -> None:
        """Take back what is held against turns whose leases a worker lost as it could not reach Redis."""
        self._acquit(*(lease.turn_id for lease in lost), worker=worker)
