"""Nothing in Redis grows for ever, and idle processes hardly write."""

import asyncio
import json
import time
from functools import partial

import pytest

from k8gentai.agents.contract.events import TurnCancelled, TurnCompleted, TurnFailed, TurnIncomplete, TurnSuspended
from k8gentai.agents.contract.turn import Turn
from k8gentai.providers.ids import new_turn_id
from k8gentai.workers.queue import keys
from k8gentai.workers.queue.admission import AnsweredError
from k8gentai.workers.queue.attempts import Attempts, Leases
from k8gentai.workers.queue.connection import connect_blocking
from k8gentai.workers.queue.grants import Parent
from k8gentai.workers.queue.record import AcceptedTurn, Replay
from k8gentai.workers.queue.rq_worker import TurnWorker
from k8gentai.workers.queue.status import LiveWorker, Pools
from k8gentai.workers.queue.turns import TurnNotFoundError, Turns
from tests.integration.helpers import eventually
from tests.support.accepting import ask, begun, finished_in, no_history


async def ended(connection, turns):
    """A turn that has ended. Returns its id."""
    turn_id = await ask(turns)
    attempts = Attempts(connection, "langgraph", "worker")
    started = await begun(attempts)
    await attempts.append(started.lease, 2, [TurnCompleted()])
    return turn_id


async def test_rqs_job_and_registry_keep_a_turn_as_long_as_its_server_says(connection):
    turns = Turns(connection, keep_seconds=100)
    turn_id = await ended(connection, turns)
    assert 90 < await connection.ttl(keys.RQ_JOB + turn_id) <= 100
    (until,) = [
        score for _, score in await connection.zrange(keys.RQ_FINISHED + "langgraph", 0, -1, withscores=True)
    ]
    now, _ = await connection.time()
    assert 90 < until - now <= 101


async def test_what_is_past_its_time_leaves_the_registries(connection):
    registry = keys.RQ_FINISHED + "langgraph"
    await connection.zadd(registry, {"old": 1, "older": 0.5})
    turn_id = await ended(connection, Turns(connection))
    assert await connection.zrange(registry, 0, -1) == [turn_id.encode()]


HISTORY = [{"type": "message", "role": "user", "content": "before"}]
FAILED = TurnFailed(code="agent_error", message="no")
SUSPENDED = TurnSuspended(expires_at=time.time() + 60)


async def accepted(turns, history, **fields):
    """A turn with a history. Returns its id."""
    turn = Turn(id=new_turn_id(), agent="plain", input=[])
    fields = {"framework": "langgraph", **fields}

    async def load():
        return history

    return await turns.accept(AcceptedTurn(turn=turn, **fields), load)


async def run(connection, end):
    """Take the turn that waits, and end it."""
    attempts = Attempts(connection, "langgraph", "worker")
    started = await begun(attempts)
    await attempts.append(started.lease, 2, [end])


async def settle(turns, count=1):
    """Settle as many turns, the last that ended first."""
    ids, finished = [], finished_in(turns)
    async for turn_id in finished.ids():
        ids.append(turn_id)
        if len(ids) == count:
            break
    for turn_id in reversed(ids):
        await finished.settled(turn_id, no_history)


@pytest.mark.parametrize(
    ("end", "keeps", "kept"),
    [
        (TurnCompleted(), False, False),
        (TurnIncomplete(reason="max_output_tokens"), False, False),
        (TurnCancelled(), False, False),
        (TurnCompleted(), True, True),
        (FAILED, False, True),
        (SUSPENDED, False, True),
    ],
)
async def test_a_history_is_kept_only_as_long_as_something_may_run_the_turn(connection, end, keeps, kept):
    turns = Turns(connection)
    turn_id = await accepted(turns, HISTORY, keep_history=keeps)
    await run(connection, end)
    assert (await turns.get(turn_id)).turn.history == HISTORY
    await settle(turns)
    assert (await turns.get(turn_id)).turn.history == (HISTORY if kept else [])
    # Empty, not gone: servers of older versions, which run beside, read the field.
    stored = json.loads(await connection.hget(keys.TURN + turn_id, "history"))
    assert stored == (HISTORY if kept else [])


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("end", [TurnCompleted(), FAILED])
async def test_the_history_of_a_turn_that_was_answered_is_dropped(connection, together, end):
    """Its answer has it for itself, as long as that may be run again."""
    turns = Turns(connection)
    asked = await accepted(turns, HISTORY)
    await run(connection, SUSPENDED)
    if not together:
        await settle(turns)
    seen = (await turns.get(asked)).turn
    assert seen.history == HISTORY
    answer = await accepted(turns, HISTORY, replay=Replay(of=asked, turn=seen))
    await run(connection, end)
    await settle(turns, 2 if together else 1)
    assert (await turns.get(asked)).turn.history == []
    record = await turns.get(answer)
    left = HISTORY if end is FAILED else []
    assert record.replay is not None
    assert (record.turn.history, record.replay.turn.history) == (left, left)
    assert (record.replay.of, record.status) == (asked, "failed" if end is FAILED else "completed")


async def test_a_chain_within_a_day_grows_with_its_length(connection):
    turns = Turns(connection)
    sizes, history = [], []
    for number in range(30):
        await accepted(turns, history)
        await run(connection, TurnCompleted())
        await settle(turns)
        history += [{"type": "message", "role": "user", "content": f"{number}" * 100}]
        if number in (14, 29):
            sizes.append(sum([await connection.memory_usage(key, samples=0) for key in await connection.keys()]))
    assert sizes[1] < 2.1 * sizes[0]


async def test_a_turn_that_was_deleted_while_it_was_settled_leaves_nothing(connection):
    turns = Turns(connection)
    turn_id = await accepted(turns, HISTORY)
    await run(connection, TurnCompleted())
    await turns.delete(turn_id)
    await settle(turns)
    assert not await connection.keys(f"{keys.TURN}*")


async def longest(connection, *turn_ids):
    """Return for how many seconds some key of these turns is kept; 0 where there is none."""
    found = [key for turn_id in turn_ids for key in await connection.keys(f"*{turn_id}*")]
    return max([0, *[await connection.ttl(key) for key in found]])


@pytest.mark.parametrize("is_settled", [False, True])
async def test_a_turn_that_waits_for_a_person_can_be_cancelled(connection, is_settled):
    turns = Turns(connection, keep_seconds=10)
    turn_id = await accepted(turns, HISTORY)
    await run(connection, TurnSuspended(expires_at=time.time() + 1000))
    if is_settled:
        await settle(turns)
        assert await longest(connection, turn_id) > 900
    seen = (await turns.get(turn_id)).turn
    assert await turns.cancel(turn_id) == "suspended"
    assert await turns.cancel(turn_id) == "cancelled"
    assert (await turns.get(turn_id)).status == "cancelled"
    with pytest.raises(AnsweredError, match="waits for no answer"):
        await accepted(turns, HISTORY, replay=Replay(of=turn_id, turn=seen))
    assert isinstance((await turns.events(turn_id))[-1][1], TurnCancelled)
    await settle(turns)
    assert await connection.xlen(keys.FINISHED) == 0
    assert 0 < await longest(connection, turn_id) <= 10
    assert await connection.zrange(keys.RQ_FINISHED + "langgraph", 0, -1) == []
    assert await connection.zrange(keys.RQ_CANCELED + "langgraph", 0, -1) == [turn_id.encode()]


async def test_a_turn_that_is_cancelled_while_it_is_settled_is_written_again(connection):
    turns = Turns(connection)
    turn_id = await accepted(turns, [])
    await run(connection, SUSPENDED)
    finished = finished_in(turns)
    await anext(finished.ids())
    await turns.cancel(turn_id)
    assert not await finished.settled(turn_id, no_history, "suspended")
    assert not (await turns.get(turn_id)).settled
    assert await finished.settled(turn_id, no_history, "cancelled")


@pytest.mark.parametrize("is_settled", [False, True])
async def test_a_turn_that_was_answered_cannot_be_cancelled_and_is_kept_as_any_other(connection, is_settled):
    turns = Turns(connection, keep_seconds=10)
    asked = await accepted(turns, [], store=False)
    await run(connection, TurnSuspended(expires_at=time.time() + 1000))
    if is_settled:
        await settle(turns)
    answer = await accepted(turns, [], store=False, replay=Replay(of=asked, turn=(await turns.get(asked)).turn))
    with pytest.raises(AnsweredError, match=answer):
        await turns.cancel(asked)
    await run(connection, TurnCompleted())
    await settle(turns, 1 if is_settled else 2)
    assert 0 < await longest(connection, asked, answer) <= 10


async def key_kept(connection):
    """Return for how many seconds the one idempotency key there is is kept."""
    (key,) = await connection.keys(f"{keys.IDEMPOTENCY}*")
    return await connection.ttl(key)


@pytest.mark.parametrize(("waits", "least", "most"), [(False, 0, 10), (True, 900, 1010)])
async def test_an_idempotency_key_leads_to_a_turn_for_as_long_as_that_is_kept(connection, waits, least, most):
    turns = Turns(connection, keep_seconds=10)
    asked = await ask(turns, idempotency_key="k")
    # It runs for longer than ended turns are kept.
    assert await key_kept(connection) > 30 * 86_400
    await run(connection, TurnSuspended(expires_at=await turns.now() + 1000) if waits else TurnCompleted())
    await settle(turns)
    assert least < await key_kept(connection) <= most
    assert await ask(turns, idempotency_key="k") == asked
    if waits:
        await accepted(turns, [], replay=Replay(of=asked, turn=(await turns.get(asked)).turn))
        assert await key_kept(connection) <= 10


@pytest.fixture
async def asking(connection):
    """A turn that runs, another that it asked for and that waits for a person, and what ends the first."""
    turns = Turns(connection, keep_seconds=10)
    attempts = Attempts(connection, "langgraph", "worker")
    parent = await accepted(turns, [])
    started = await begun(attempts)
    asks = Parent(turn_id=parent, depth=1, tokens=None, deadline=time.time() + 60)
    child = await accepted(turns, [], parent=asks)
    await run(connection, SUSPENDED)

    async def end(event):
        await attempts.append(started.lease, 2, [event])

    return turns, parent, child, end


@pytest.mark.parametrize("is_settled", [False, True])
async def test_a_deleted_turn_takes_what_it_asked_for_along_and_leaves_nothing(connection, asking, is_settled):
    """Both wait for a person: the one passes on what the other asks."""
    turns, parent, child, end = asking
    await end(SUSPENDED)
    assert (await turns.get(child)).status == "suspended"
    if is_settled:
        await settle(turns, 2)
    assert await turns.with_children(parent) == [parent, child]
    assert await turns.delete(parent) == [parent, child]
    with pytest.raises(TurnNotFoundError):
        await turns.delete(parent)
    if not is_settled:
        await settle(turns, 2)
    assert not await connection.keys(f"{keys.TURN}*")
    assert await longest(connection, parent, child) <= 10
    assert await connection.xlen(keys.FINISHED) == 0


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        (TurnCancelled(), "cancelled"),
        (TurnCompleted(), "cancelled"),
        (SUSPENDED, "suspended"),
        (FAILED, "suspended"),
    ],
)
async def test_what_a_tool_call_asked_for_waits_as_long_as_its_turn_may_go_on(asking, ending, status):
    turns, _, child, end = asking
    await end(ending)
    assert (await turns.get(child)).status == status


@pytest.mark.parametrize("ending", [SUSPENDED, FAILED])
async def test_what_waits_ends_with_the_turn_that_goes_on_with_its_parent(asking, ending):
    turns, parent, child, end = asking
    await end(ending)
    again = Replay(of=parent, turn=(await turns.get(parent)).turn, retry=ending is FAILED)
    following = await accepted(turns, [], replay=again)
    assert await turns.with_children(parent) == [parent]
    attempts = Attempts(turns._redis, "langgraph", "worker")
    await begun(attempts)
    assert await turns.with_children(following) == [following, child]
    await turns.cancel(following)
    assert (await turns.get(child)).status == "cancelled"


@pytest.mark.parametrize("way", ["cancel", "delete"])
async def test_a_failed_turn_may_be_run_again_where_that_was_ended_before_it_began(connection, asking, way):
    turns, failed, child, end = asking
    await end(FAILED)
    again = Replay(of=failed, turn=(await turns.get(failed)).turn, retry=True)
    first = await accepted(turns, [], replay=again)
    with pytest.raises(AnsweredError, match=first):
        await accepted(turns, [], replay=again)
    await getattr(turns, way)(first)
    assert ((await turns.get(failed)).answered, (await turns.get(child)).status) == (None, "suspended")
    second = await accepted(turns, [], replay=again)
    # Deleted now, it would take nothing along.
    assert await turns.with_children(second) == [second]
    # Once it has begun, it may have done something.
    attempts = Attempts(connection, "langgraph", "worker")
    await begun(attempts)
    assert await turns.with_children(second) == [second, child]
    await turns.cancel(second)
    with pytest.raises(AnsweredError, match=second):
        await accepted(turns, [], replay=again)


@pytest.mark.parametrize("is_settled", [False, True])
@pytest.mark.parametrize("ending", [SUSPENDED, FAILED])
async def test_what_waits_has_its_time_anew_when_its_parent_asks_again(connection, asking, ending, is_settled):
    """Another question of the parent may wait for longer, and be answered before it."""
    turns, _, child, end = asking
    if is_settled:
        await settle(turns)
    # Its time is over, and nearly its life in Redis.
    at = await turns.now() - 1000
    await connection.hset(keys.TURN + child, mapping={"ended_at": at, "expires_at": at + 900})
    if is_settled:
        await connection.expire(keys.TURN + child, 5)
    await end(ending)
    if not is_settled:
        await settle(turns, 2)
    record = await turns.get(child)
    assert 890 < record.expires_at - await turns.now() <= 900
    assert 895 < await connection.ttl(keys.TURN + child) <= 911


async def settling(turns, name):
    """Let a server of that name look for what it has to settle."""

    async def look():
        async for _ in finished_in(turns, name).ids():
            pass

    looking = asyncio.create_task(look())
    await eventually(partial(servers, turns), lambda found: name.encode() in {each["name"] for each in found})
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking


async def servers(turns):
    if not await turns._redis.exists(keys.FINISHED):
        return []
    return await turns._redis.xinfo_consumers(keys.FINISHED, keys.SERVERS)


async def test_names_of_servers_that_are_gone_are_removed_unless_they_hold_turns(connection, monkeypatch):
    turns = Turns(connection)
    await settling(turns, "idle")
    await ended(connection, turns)
    await anext(finished_in(turns, "holds").ids())
    monkeypatch.setattr("k8gentai.workers.queue.finished_turns._FORGOTTEN_SECONDS", -1)
    await settling(Turns(connection), "next")
    assert {server["name"] for server in await servers(turns)} == {b"holds", b"next"}


async def test_a_worker_counts_before_there_was_any_turn(connection, valkey):
    with connect_blocking(valkey.url) as client:
        await asyncio.to_thread(TurnWorker("langgraph", "idle", client, dict).register)
    assert await Pools(connection).workers() == [LiveWorker("langgraph")]


async def test_names_of_workers_that_died_with_their_witness_are_removed(connection, valkey):
    with connect_blocking(valkey.url) as client:

        def die():
            for number in range(5):
                for framework in ("langgraph", "gone"):
                    worker = TurnWorker(framework, f"{framework}{number}", client, dict)
                    worker.register()
                    client.delete(worker.key)
            TurnWorker("langgraph", "alive", client, dict).register()
            leases = Leases(client, "langgraph", lease_seconds=4)
            # A few at a time.
            for _ in range(3):
                leases.reap()

        await asyncio.to_thread(die)
    for names in (keys.RQ_ALL_WORKERS, f"{keys.RQ_WORKERS}langgraph"):
        assert await connection.smembers(names) == {(keys.RQ_WORKER + "alive").encode()}
    assert await Pools(connection).workers() == [LiveWorker("langgraph")]


def test_an_idle_worker_writes_once_in_a_while(valkey):
    with valkey.client() as client:
        client.flushall()
        worker = TurnWorker("langgraph", "idle", client, dict)
        leases = Leases(client, "langgraph", lease_seconds=4)
        worker.register()
        worker.beat(0)

        def written():
            return client.info("persistence")["rdb_changes_since_last_save"]

        before = written()
        for _ in range(20):
            leases.renew([])
            leases.reap()
            worker.beat(0)
        assert written() == before
        worker.beat(1)
        assert client.hget(worker.key, "state") == b"busy"
        client.delete(worker.key)
        worker.beat(1)
        assert client.hget(worker.key, "state") == b"busy"
        assert 0 < client.ttl(worker.key) <= 30
