"""Turns' lives in a real Valkey: nothing stands there, and nothing moves a turn, that is not declared."""

import asyncio
import secrets
import time
from collections.abc import Iterator
from typing import Any
from unittest.mock import AsyncMock

import pytest
import redis

from k8gentai.agents.contract.events import (
    Event,
    TextDelta,
    TurnCompleted,
    TurnFailed,
    TurnIncomplete,
    TurnSuspended,
)
from k8gentai.agents.contract.turn import Turn
from k8gentai.providers.ids import new_turn_id
from k8gentai.workers.attempt.given_up import GivenUp
from k8gentai.workers.attempt.journal import Journal
from k8gentai.workers.attempt.journal_entries import Failure, ToolEntry
from k8gentai.workers.attempt.retried import tried_anew
from k8gentai.workers.queue import attempts as attempts_module
from k8gentai.workers.queue import keys
from k8gentai.workers.queue.admission import QueueFullError, Terms
from k8gentai.workers.queue.attempts import Attempts, Death, Leases, Started
from k8gentai.workers.queue.grants import Parent, signing_key
from k8gentai.workers.queue.positions import Positions
from k8gentai.workers.queue.record import AcceptedTurn, Owner, Replay
from k8gentai.workers.queue.rq_worker import TurnWorker
from k8gentai.workers.queue.turns import Turns
from tests.support import lua_scripts
from tests.support.accepting import finished_in, no_history
from tests.support.connected import connected
from tests.support.queue_readme import declared_keys, enders, fields, journal_kinds, moves, turn_fields, writers
from tests.support.watched_scripts import WatchedScripts, name_of

QUEUE = "langgraph"
DONE = TurnCompleted()
FAILED = TurnFailed(code="agent_error", message="no")
SHORT = TurnIncomplete(reason="max_output_tokens")
KEEP_SECONDS = 60


class Life:
    """A server's and some workers' side of the turns of one Redis.

    Args:
        client: for what is asynchronous.
        blocking: for leases.
    """

    def __init__(self, client: Any, blocking: redis.Redis) -> None:
        self.client = client
        self.blocking = blocking
        self.turns = Turns(client, keep_seconds=KEEP_SECONDS)
        self.leases = Leases(blocking, QUEUE, lease_seconds=30, keep_seconds=KEEP_SECONDS)
        self._workers: list[TurnWorker] = []

    def worker(self, only: list[str] | None = None) -> Attempts:
        """Return a worker that RQ knows to live."""
        name = f"w-{secrets.token_hex(4)}"
        self._workers.append(TurnWorker(QUEUE, name, self.blocking, lambda: {"shop": "there is no module 'shop'"}))
        self._workers[-1].register()
        return Attempts(self.client, QUEUE, name, lease_seconds=30, keep_seconds=KEEP_SECONDS, only=only)

    async def accept(self, conversation: str | None = None, terms: Terms | None = None, **held: Any) -> str:
        """Have a turn accepted. Returns its id."""
        turn = Turn(id=new_turn_id(), agent="plain", input=[], conversation=conversation)
        accepted = AcceptedTurn(turn=turn, framework=QUEUE, owner=Owner(principal="ada"), **held)
        return await self.turns.accept(accepted, no_history, terms)

    async def start(self, worker: Attempts) -> Started:
        """Have a worker begin the turn that waits."""
        taken = await worker.take(1)
        assert taken is not None
        started = await worker.start(taken, secrets.token_hex(4))
        assert started is not None
        return started

    async def run(self, worker: Attempts, end: Event) -> str:
        """Have a worker run the turn that waits to its end. Returns its id."""
        started = await self.start(worker)
        await worker.append(started.lease, started.last_seq + 1, [TextDelta(message_id="m", delta="Hi."), end])
        return started.lease.turn_id

    async def replay(self, of: str, *, retry: bool = False) -> str:
        """Have a turn accepted that goes on with another. Returns its id."""
        return await self.accept(replay=Replay(of=of, turn=(await self.turns.get(of)).turn, retry=retry))

    async def suspended(self) -> TurnSuspended:
        """Return the end of a turn that waits for a person."""
        return TurnSuspended(expires_at=await self.turns.now() + 60)

    def stop_workers(self) -> None:
        """Have all workers disappear from among those that live."""
        while self._workers:
            self._workers.pop().unregister()

    async def settle(self) -> None:
        """Settle all that has ended."""
        given = finished_in(self.turns)
        finished = given.ids()
        while await self.client.xlen(keys.FINISHED):
            await given.settled(await anext(finished), no_history)


async def journaled(life: Life) -> None:
    """Turns that record all kinds of calls: one fails, another runs it again."""
    worker = life.worker()
    failed = await life.accept()
    started = await life.start(worker)
    journal = Journal(worker, started.lease, {})
    call = journal.model_key({"model": "m"})
    await journal.record_answer(call, [{"choices": []}])
    await journal.record_answer(call, [{"choices": [1]}])
    await journal.record_failure(journal.model_key({"model": "n"}), Failure(cause="500", status=500, code="c"))
    for output in ("one", "two"):
        await journal.record_tool("c1", ToolEntry(state="done", output=output))
    for violation in (None, "No."):
        verdict = AsyncMock(return_value={"violation": violation})
        await Journal(worker, started.lease, {}).once("moderation", "a text", verdict)
    await journal.record_given_up(journal.patience_key(call), GivenUp(seconds=1))
    await worker.replayed(started.lease, 1, 1, 1)
    await worker.append(started.lease, started.last_seq + 1, [FAILED])
    await life.settle()
    await life.replay(failed, retry=True)
    again = await life.start(worker)
    await tried_anew(worker, again.lease, failed, await worker.journal(again.lease))
    full = "x" * attempts_module.JOURNAL_BYTES
    assert not await worker.record(again.lease, "tool c2", full)
    await worker.append(again.lease, again.last_seq + 1, [DONE])
    await life.settle()


async def conversing(life: Life) -> None:
    """Turns of one conversation: they wait, are interrupted, rolled back, answered and deleted."""
    worker = life.worker()
    positions = Positions(life.client, keep_seconds=KEEP_SECONDS)
    asked = await life.accept("conv_1", Terms(idempotency_key="key"))
    await life.accept("conv_1", Terms(sdk_try=0))
    await positions.place("conv_1", 2, least=0, turn_id=asked)
    await life.run(worker, await life.suspended())
    await life.settle()
    await life.replay(asked)
    for _ in range(2):
        await life.run(worker, SHORT)
    await life.settle()
    for strategy in ("interrupt", "rollback"):
        for starts in (True, False):
            await life.accept("conv_2")
            if starts:
                await life.start(worker)
            await life.accept("conv_2", Terms(strategy=strategy))
            await life.settle()
            await life.run(worker, DONE)
            await life.settle()
    full = Turns(life.client, queue_limit=0)
    with pytest.raises(QueueFullError):
        await full.accept(
            AcceptedTurn(turn=Turn(id=new_turn_id(), agent="plain", input=[]), framework=QUEUE),
            no_history,
            Terms(sdk_try=0),
        )


async def ended(life: Life) -> None:
    """Turns that clients cancel and delete, in each state that has such a way out."""
    worker = life.worker()
    for end in (life.turns.cancel, life.turns.delete):
        await end(await life.accept())
        await life.settle()
        turn_id = await life.accept()
        await life.start(worker)
        await end(turn_id)
        await life.settle()
        for settles in (True, False):
            turn_id = await life.accept()
            await life.run(worker, await life.suspended())
            if settles:
                await life.settle()
            await end(turn_id)
            await life.settle()
    done = await life.accept()
    await life.run(worker, DONE)
    await life.settle()
    await life.turns.delete(done)


async def asking(life: Life) -> None:
    """A turn that asks another, which waits for a person: so does the first, and another goes on with it."""
    worker = life.worker()
    parent = await life.accept()
    started = await life.start(worker)
    await life.accept(parent=Parent(turn_id=parent, depth=1, tokens=None, deadline=time.time() + 60))
    await life.run(worker, await life.suspended())
    await worker.append(started.lease, started.last_seq + 1, [await life.suspended()])
    await life.settle()
    following = await life.replay(parent)
    await life.run(worker, FAILED)
    await life.turns.cancel(await life.replay(following, retry=True))
    await life.replay(following, retry=True)
    await life.run(worker, DONE)
    await life.settle()


async def broken_off(life: Life) -> None:
    """Attempts that break off, are handed back, or that workers decline, until the turn fails of it."""
    one, two = life.worker(), life.worker()
    await life.accept()
    for often, outcome in ((2, "queued"), (1, "failed")):
        lease = (await life.start(one)).lease
        assert await one.break_off(lease, FAILED, seconds=60, often=often) == outcome
    await life.accept()
    for number in range(attempts_module.HAND_OVERS):
        handed = await one.hand_back((await life.start(one)).lease)
        assert handed == ("queued" if number + 1 < attempts_module.HAND_OVERS else "failed")
    await life.accept()
    for worker, outcome in ((one, "queued"), (two, "failed")):
        assert await worker.decline((await life.start(worker)).lease, FAILED) == outcome
    declined = await life.accept()
    assert await one.decline((await life.start(one)).lease, FAILED) == "queued"
    life.leases.bury(two.worker, Death(cause="was killed"))
    await one.take(1)
    assert await one.put_back(declined) == "failed"
    await life.accept()
    taken = await one.take(1)
    assert taken is not None
    assert await life.worker(only=["another"]).start(taken) is None
    await life.run(one, DONE)
    waits = await life.accept()
    await one.break_off((await life.start(one)).lease, FAILED, seconds=60, often=9, pause=60)
    await life.turns.cancel(waits)
    await life.client.zadd(keys.LEASES + QUEUE, {f"{waits} taken": 1})
    life.leases.reap()
    await life.settle()


async def lost(life: Life) -> None:
    """Turns whose workers die: one alone, some beside others, until one is given up."""
    first, second = await life.accept(), await life.accept()
    for number in range(9):
        worker = life.worker()
        alone = number > 0
        begun = [await life.start(worker) for _ in range(1 if alone else 2)]
        life.leases.bury(worker.worker, Death(cause="was killed" if number % 2 else "", own=not alone))
        outcomes = dict(life.leases.reap())
        if alone and outcomes == {begun[0].lease.turn_id: "failed"}:
            break
    ended = [(await life.turns.get(turn_id)).status for turn_id in (first, second)]
    assert sorted(ended) == ["failed", "queued"]
    survivor = life.worker()
    lease = (await life.start(survivor)).lease
    assert life.leases.renew([lease]) == []
    await life.client.zadd(keys.LEASES + QUEUE, {lease.member: 1})
    life.leases.reap()
    life.leases.acquit(survivor.worker, [lease])
    await life.accept()
    leases = [(await life.start(survivor)).lease for _ in range(2)]
    await life.client.zadd(keys.LEASES + QUEUE, {lease.member: 1 for lease in leases})
    life.leases.reap()
    life.leases.acquit(survivor.worker, leases)
    for _ in range(2):
        lease = (await life.start(survivor)).lease
        await survivor.append(lease, 9, [DONE])
    taken = await life.accept()
    assert await survivor.take(1) == taken
    life.leases.reap()
    await life.client.zadd(keys.LEASES + QUEUE, {f"{taken} taken": 1})
    assert life.leases.reap() == [(taken, "taken")]
    await life.run(survivor, DONE)
    await life.settle()


LIVES = (journaled, conversing, ended, asking, broken_off, lost)


@pytest.fixture(scope="module")
def client(valkey: Any) -> Iterator[redis.Redis]:
    with valkey.client() as made:
        yield made


@pytest.fixture(scope="module")
def watched(valkey: Any, client: redis.Redis) -> WatchedScripts:
    """All these lives, one after another."""
    scripts = WatchedScripts(client)

    async def live() -> None:
        async with connected(valkey.url) as connection:
            await signing_key(connection)
            life = Life(connection, client)
            for each in LIVES:
                await each(life)
                life.stop_workers()

    client.flushall()
    with scripts.watching():
        asyncio.run(live())
    return scripts


def test_what_scripts_change_is_what_the_readme_says_of_them(watched: WatchedScripts) -> None:
    written = {(script, key) for key in declared_keys() for script in (*writers(key), *enders(key))}
    assert watched.keys - written == set()
    held = {(key, field) for key, each in fields().items() for field in each}
    changed = {(script, key, field) for script, key, field in watched.fields if (key, field) in held}
    assert {each for each in changed if each[0] not in (*writers(*each[1:]), *enders(*each[1:]))} == set()


def test_every_field_of_a_turn_is_declared_and_comes_up(watched: WatchedScripts) -> None:
    assert {field for _, key, field in watched.fields if key == "turn"} == turn_fields().keys()


def test_turns_move_between_states_as_the_readme_says(watched: WatchedScripts) -> None:
    assert watched.moves == moves()


def test_every_kind_of_journal_entry_is_declared_and_comes_up(watched: WatchedScripts) -> None:
    entries = {field for _, key, field in watched.fields if key == "journal"}
    assert {entry.partition(" ")[0] + " " for entry in entries} == journal_kinds().keys()


def test_every_key_has_its_declared_type(watched: WatchedScripts, client: Any) -> None:
    types = {"zset": "sorted set"}
    for key in client.scan_iter():
        kind = client.type(key).decode()
        assert types.get(kind, kind) in declared_keys()[name_of(key.decode())].type.split(" and ")


def test_when_all_is_settled_every_key_has_an_end_or_is_declared_to_have_none(
    watched: WatchedScripts, client: Any
) -> None:
    passing = {"leases", "lane", "unsettled", "waiting", "rq_queue", "rq_intermediate", "rq_started"}
    endless = {name_of(key.decode()) for key in client.scan_iter() if client.ttl(key) == -1}
    declared = {name: key.ends for name, key in declared_keys().items()}
    assert [name for name in endless if not declared[name].startswith(("never", "an entry", "a field"))] == []
    # Their entries were those of turns that were under way.
    assert endless & passing == set()
    assert client.xlen(keys.FINISHED) == 0


def test_all_scripts_take_part(watched: WatchedScripts) -> None:
    assert {script for script, _ in watched.keys} | {"forget_servers"} == set(lua_scripts.names())


def test_a_key_that_is_not_declared_is_found() -> None:
    for key in (keys.TURN.replace("turn", "other") + "1", keys.TURN + "resp_1:extra"):
        with pytest.raises(LookupError, match="is not declared"):
            name_of(key)
    assert name_of(keys.TURN + "resp_1" + keys.EVENTS) == "events"
    assert name_of(keys.LANE + "conv_1" + keys.VERSION) == "version"
