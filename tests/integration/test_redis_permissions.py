"""A Redis that lets its user do less than it must, or has no room for connections: all of a step, or nothing."""

import asyncio
from typing import Any

import pytest

from k8gentai.agents.contract.events import TurnCompleted
from k8gentai.workers.queue import keys
from k8gentai.workers.queue.attempts import Attempts, Leases
from k8gentai.workers.queue.connection import AWAY, connect_blocking
from k8gentai.workers.queue.turns import Turns
from tests.support.accepting import ask, begun
from tests.support.connected import connected


def forbidding(command):
    def forbid(admin):
        admin.execute_command("ACL", "SETUSER", "default", f"-{command}")

    return forbid


def hiding(prefix):
    """Let the user have all keys and channels but those of a prefix."""
    names = [name for name in keys.ALL.values() if keys.is_key(name) and name != prefix]
    allowed = [f"~{name}*" if name.endswith(":") else f"~{name}" for name in names]

    def hide(admin):
        admin.execute_command("ACL", "SETUSER", "default", "resetkeys", *allowed)

    return hide


def hide_channel(admin):
    admin.execute_command("ACL", "SETUSER", "default", "resetchannels", f"&{keys.TURN}*")


def change_password(admin):
    admin.execute_command("ACL", "SETUSER", "default", "resetpass", ">another")
    admin.client_kill_filter(_type="normal", skipme=True)


def fill_up(admin):
    admin.config_set("maxclients", 1)
    admin.client_kill_filter(_type="normal", skipme=True)


FAULTS: list[Any] = [
    pytest.param(forbidding(command), id=command) for command in ("xadd", "sadd", "publish", "evalsha")
]
FAULTS += [change_password, fill_up]
SHARED = {
    keys.TURN,
    keys.LEASES,
    keys.WAITING,
    keys.FINISHED,
    keys.RQ_JOB,
    keys.RQ_QUEUE,
    keys.RQ_QUEUES,
    keys.RQ_STARTED,
    keys.RQ_FINISHED,
    keys.RQ_FAILED,
    keys.RQ_CANCELED,
}
"""Keys that every script may write: a turn may end in each."""
FAULTS += [pytest.param(hiding(prefix), id=prefix) for prefix in sorted(SHARED)]
FAULTS += [hide_channel]


@pytest.fixture
def admin(valkey):
    with valkey.client() as client:
        client.flushall()
        client.execute_command("ACL", "SETUSER", "admin", "on", ">admin", "+@all", "~*", "&*")
        client.execute_command("AUTH", "admin", "admin")
        yield client
        restore(client)


def restore(admin):
    admin.execute_command("ACL", "SETUSER", "default", "+@all", "nopass", "~*", "&*")
    admin.config_set("maxclients", 10_000)


def kept(admin):
    """All that is in Redis."""
    return {key: admin.dump(key) for key in admin.scan_iter()}


@pytest.mark.parametrize("fault", FAULTS)
async def test_what_redis_refuses_is_away_and_not_done_by_half(valkey, admin, fault):
    with connect_blocking(valkey.url) as blocking:
        async with connected(valkey.url) as client:
            turns, attempts = Turns(client), Attempts(client, "langgraph", "worker")
            leases = Leases(blocking, "langgraph", lease_seconds=60)
            turn_id = await ask(turns)
            lease = (await begun(attempts)).lease
            before = kept(admin)
            fault(admin)
            steps = [
                lambda: ask(turns),
                lambda: attempts.append(lease, 2, [TurnCompleted()]),
                lambda: attempts.record(lease, "key", "value"),
                lambda: turns.cancel(turn_id),
                lambda: asyncio.to_thread(leases.renew, [lease]),
                lambda: asyncio.to_thread(leases.reap),
            ]
            for step in steps:
                with pytest.raises(AWAY):
                    await step()
                assert kept(admin) == before
            restore(admin)
            assert await ask(turns)
            assert leases.renew([lease]) == []
            await attempts.append(lease, 2, [TurnCompleted()])
            assert (await turns.get(turn_id)).status == "completed"


@pytest.mark.parametrize(
    ("prefix", "refused"),
    [
        (keys.LANE, "ask"),
        (keys.UNSETTLED, "ask"),
        (keys.IDEMPOTENCY, "ask"),
        (keys.RETRIED, "ask"),
        (keys.DEAD, "reap"),
        (keys.LOST, "reap"),
        (keys.SOLVED, "reap"),
    ],
)
async def test_a_script_that_may_not_have_its_own_keys_writes_nothing(valkey, admin, prefix, refused):
    with connect_blocking(valkey.url) as blocking:
        async with connected(valkey.url) as client:
            turns = Turns(client)
            leases = Leases(blocking, "langgraph", lease_seconds=60)
            await ask(turns)
            before = kept(admin)
            hiding(prefix)(admin)
            steps = {"ask": lambda: ask(turns), "reap": lambda: asyncio.to_thread(leases.reap)}
            with pytest.raises(AWAY):
                await steps[refused]()
            assert kept(admin) == before


@pytest.mark.parametrize("fault", [forbidding("blmove"), change_password, fill_up])
async def test_taking_a_turn_is_away_and_loses_none(valkey, admin, fault):
    async with connected(valkey.url) as client:
        turn_id = await ask(Turns(client))
        fault(admin)
        attempts = Attempts(client, "langgraph", "worker")
        with pytest.raises(AWAY):
            await attempts.take(1)
        restore(admin)
        assert await attempts.take(1) == turn_id
