"""An attempt that lost its turn may write nothing more: Redis itself refuses it."""

import asyncio
import time

import pytest
import redis.asyncio

from k8gentai.agents.events import MessageDone, TextDelta, TurnCompleted, TurnStarted
from k8gentai.agents.turn import Turn
from k8gentai.workers.attempts import Attempts, FencedError, Leases
from k8gentai.workers.record import AcceptedTurn
from k8gentai.workers.turns import Turns
from tests.support.valkey import Valkey

TURN = "resp_0192f3a0c1d27e3fb1234567890abcde"


@pytest.fixture(scope="module")
def valkey(tmp_path_factory):
    server = Valkey(tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def connection(valkey):
    client = redis.asyncio.Redis.from_url(valkey.url)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture
def turns(connection):
    return Turns(connection)


@pytest.fixture
async def accepted(turns):
    turn = Turn(id=TURN, agent="plain", input=[])

    async def no_history():
        return []

    await turns.accept(AcceptedTurn(turn=turn, framework="langgraph", accepted_at=time.time()), no_history)
    return TURN


def worker(connection, name, lease_seconds=5.0):
    return Attempts(connection, "langgraph", name, lease_seconds=lease_seconds)


async def start(attempts):
    return (await attempts.start(await attempts.take(1))).lease


async def types(turns):
    return [event.type for _, event in await turns.events(TURN)]


async def test_a_stale_attempts_append_is_refused(valkey, connection, turns, accepted):
    slow, quick = worker(connection, "slow", lease_seconds=0.01), worker(connection, "quick")
    stale = await start(slow)
    await slow.append(stale, 2, [TurnStarted(attempt=1, worker="slow"), TextDelta(message_id="m", delta="a")])
    await asyncio.sleep(0.02)
    with valkey.client() as blocking:
        assert Leases(blocking, "langgraph", lease_seconds=5).reap() == [(TURN, "queued")]
    with pytest.raises(FencedError):
        await slow.append(stale, 4, [TextDelta(message_id="m", delta="late")])
    lease = await start(quick)
    assert lease.attempt == stale.attempt + 1
    await quick.append(lease, 4, [TurnStarted(attempt=2, worker="quick")])
    for event in (TextDelta(message_id="m", delta="later"), TurnCompleted()):
        with pytest.raises(FencedError):
            await slow.append(stale, 5, [event])
    await quick.append(lease, 5, [MessageDone(message_id="m", text="b"), TurnCompleted()])
    assert (await types(turns))[3:] == ["turn.started", "message.done", "turn.completed"]
    assert (await turns.get(TURN)).status == "completed"


async def test_a_cancelled_turn_takes_no_more_events(connection, turns, accepted):
    attempts = worker(connection, "one")
    lease = await start(attempts)
    await turns.cancel(TURN)
    with pytest.raises(FencedError):
        await attempts.append(lease, 3, [TurnCompleted()])
    assert (await types(turns))[-1] == "turn.cancelled"


async def test_a_batch_sent_twice_is_written_once(connection, turns, accepted):
    """The answer to the first sending was lost, as when Redis restarts."""
    attempts = worker(connection, "one")
    lease = await start(attempts)
    batch = [TurnStarted(attempt=1, worker="one"), TextDelta(message_id="m", delta="a")]
    for _ in range(2):
        await attempts.append(lease, 2, batch)
    end = [MessageDone(message_id="m", text="a"), TurnCompleted()]
    for _ in range(2):
        await attempts.append(lease, 4, end)
    seqs = [seq for seq, _ in await turns.events(TURN)]
    assert seqs == [1, 2, 3, 4, 5]


async def test_a_turn_handed_back_is_not_the_old_workers_any_more(connection, turns, accepted):
    attempts = worker(connection, "one")
    lease = await start(attempts)
    await attempts.hand_back(lease)
    assert (await turns.get(TURN)).status == "queued"
    with pytest.raises(FencedError):
        await attempts.append(lease, 2, [TurnStarted(attempt=1, worker="one")])
