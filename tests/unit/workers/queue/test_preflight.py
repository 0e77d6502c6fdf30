"""A Redis that would lose turns is refused before the first."""

from typing import Any

import pytest
from redis.exceptions import BusyLoadingError, NoPermissionError

from k8gentai.stack.environments.installed import SetUpError
from k8gentai.stack.local import valkey as embedded
from k8gentai.workers.queue import key_prefix, preflight
from k8gentai.workers.queue.connection import connect_blocking
from k8gentai.workers.queue.links import StoreRefusesError
from tests.support.connected import connected


@pytest.fixture
def evicting(valkey):
    with valkey.client() as admin:
        admin.config_set("maxmemory-policy", "allkeys-lru")
        yield admin
        admin.config_set("maxmemory", 0)
        admin.config_set("maxmemory-policy", "noeviction")
        admin.execute_command("ACL", "SETUSER", "default", "+@all")


async def test_one_that_evicts_is_refused(valkey, evicting):
    async with connected(valkey.url) as client:
        await preflight.check(client)
        evicting.config_set("maxmemory", 1 << 30)
        with pytest.raises(preflight.UnfitError, match="maxmemory-policy is allkeys-lru"):
            await preflight.check(client)
    with pytest.raises(SetUpError, match="set that to noeviction") as raised:
        embedded.wait_until_ready(valkey.url, 1)
    assert len(str(raised.value).splitlines()) == 1


async def test_one_that_tells_nothing_of_itself_is_taken(valkey, evicting):
    evicting.config_set("maxmemory", 1 << 30)
    evicting.execute_command("ACL", "SETUSER", "default", "-info")
    async with connected(valkey.url) as client:
        with pytest.raises(NoPermissionError):
            await client.info()
        await preflight.check(client)


@pytest.mark.parametrize("busy", [BusyLoadingError("LOADING"), StoreRefusesError("BUSY a script runs")])
async def test_one_that_is_busy_is_waited_for(busy):
    answers = [busy, busy, {}]

    class Busy:
        async def info(self):
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

    waited_for: Any = Busy()
    await preflight.check(waited_for)
    assert answers == []


@pytest.mark.parametrize(
    ("url", "says"), [("redis://h", "name that as redis\\+cluster"), ("redis+cluster://h", "AMF_KEY_PREFIX")]
)
def test_a_cluster_is_refused_that_would_split_what_belongs_together(url, says):
    with connect_blocking(url) as client:
        client.info = lambda: {"cluster_enabled": 1}
        with pytest.raises(preflight.UnfitError, match=says):
            preflight.check_blocking(client)


def test_a_prefix_that_is_none_is_refused(monkeypatch):
    monkeypatch.setattr(key_prefix, "PREFIX", "prod'")
    with connect_blocking("redis://h") as client:
        client.info = dict
        with pytest.raises(preflight.UnfitError, match="AMF_KEY_PREFIX cannot be"):
            preflight.check_blocking(client)


def test_an_option_that_there_is_not_is_named():
    with pytest.raises(SetUpError, match=r"REDIS_URL is not usable .*colour"):
        embedded.wait_until_ready("redis://127.0.0.1:1/0?colour=red", 1)
