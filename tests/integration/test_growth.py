"""Nothing in Redis grows for ever, and idle processes hardly write."""

import asyncio

import pytest

from k8gentai.agents.events import TurnCompleted
from k8gentai.workers import keys
from k8gentai.workers.attempts import Attempts, Leases
from k8gentai.workers.registration import TurnWorker
from k8gentai.workers.turns import Turns
from tests.support.accepting import ask


async def ended(connection, turns):
    """A turn that has ended. Returns its id."""
    turn_id = await ask(turns)
    attempts = Attempts(connection, "langgraph", "worker")
    started = await attempts.start(await attempts.take(1))
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


async def settling(turns, name):
    """Let a server of that name look for what it has to settle."""

    async def look():
        async for _ in turns.finished(name):
            pass

    looking = asyncio.create_task(look())
    while not any(server["name"] == name.encode() for server in await servers(turns)):
        assert not looking.done()
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
    async for _ in turns.finished("holds"):
        break
    monkeypatch.setattr("k8gentai.workers.turns._FORGOTTEN_SECONDS", -1)
    await settling(Turns(connection), "next")
    assert {server["name"] for server in await servers(turns)} == {b"holds", b"next"}


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
