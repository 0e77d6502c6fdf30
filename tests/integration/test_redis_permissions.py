"""A Redis that lets its user do less than it must, or has no room for connections: all of a step, or nothing."""

import asyncio

import pytest

from k8gentai.agents.events import TurnCompleted
from k8gentai.workers.attempts import Attempts, Leases
from k8gentai.workers.connection import AWAY, connect_blocking
from k8gentai.workers.turns import Turns
from tests.support.accepting import ask
from tests.support.connected import connected


def forbidding(command):
    def forbid(admin):
        admin.execute_command("ACL", "SETUSER", "default", f"-{command}")

    return forbid


def change_password(admin):
    admin.execute_command("ACL", "SETUSER", "default", "resetpass", ">another")
    admin.client_kill_filter(_type="normal", skipme=True)


def fill_up(admin):
    admin.config_set("maxclients", 1)
    admin.client_kill_filter(_type="normal", skipme=True)


FAULTS = [pytest.param(forbidding(command), id=command) for command in ("xadd", "sadd", "publish", "evalsha")]
FAULTS += [change_password, fill_up]


@pytest.fixture
def admin(valkey):
    with valkey.client() as client:
        client.flushall()
        yield client
        client.execute_command("ACL", "SETUSER", "default", "+@all", "nopass")
        client.config_set("maxclients", 10_000)


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
            lease = (await attempts.start(await attempts.take(1))).lease
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
            admin.execute_command("ACL", "SETUSER", "default", "+@all", "nopass")
            admin.config_set("maxclients", 10_000)
            assert await ask(turns)
            assert leases.renew([lease]) == []
            await attempts.append(lease, 2, [TurnCompleted()])
            assert (await turns.get(turn_id)).status == "completed"


@pytest.mark.parametrize("fault", [forbidding("blmove"), change_password, fill_up])
async def test_taking_a_turn_is_away_and_loses_none(valkey, admin, fault):
    async with connected(valkey.url) as client:
        turn_id = await ask(Turns(client))
        fault(admin)
        attempts = Attempts(client, "langgraph", "worker")
        with pytest.raises(AWAY):
            await attempts.take(1)
        admin.execute_command("ACL", "SETUSER", "default", "+@all", "nopass")
        admin.config_set("maxclients", 10_000)
        assert await attempts.take(1) == turn_id
