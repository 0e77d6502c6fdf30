"""The proxy that makes a drill's faults, in front of a real Valkey."""

import asyncio

import pytest
import redis.exceptions as errors

from k8gentai.stack.commands.drill import faults_of
from k8gentai.stack.drill.faults import Proxies
from k8gentai.stack.drill.proxy import REFUSALS, RedisProxy, serving
from k8gentai.stack.environments.installed import SetUpError
from k8gentai.stack.local.settings import Settings
from k8gentai.workers.queue import connection
from k8gentai.workers.queue.connection import AWAY, connect_blocking
from k8gentai.workers.queue.redis_url import read_url
from tests.support.connected import connected


@pytest.fixture
async def proxy(valkey):
    async def dial():
        return await asyncio.open_connection("127.0.0.1", valkey.port)

    async with serving(RedisProxy(dial)) as made:
        yield made


@pytest.fixture
async def client(proxy, monkeypatch):
    monkeypatch.setattr(connection, "REPLY_SECONDS", 0.5)
    async with connected(f"redis://127.0.0.1:{proxy.port}/0") as made:
        yield made


@pytest.mark.parametrize("code", REFUSALS)
async def test_writes_are_refused_and_reads_are_not(proxy, client, code):
    await client.set("a", "b")
    with proxy.refusing(code):
        for write in (client.set("a", "c"), client.pipeline(transaction=True).set("a", "c").execute()):
            with pytest.raises(AWAY):
                await write
        assert await client.get("a") == b"b"
    large = b"x" * 500_000
    assert await client.set("a", large)
    assert await client.get("a") == large


async def test_threads_see_the_same(proxy):
    client = connect_blocking(f"redis://127.0.0.1:{proxy.port}/0")
    with proxy.refusing("OOM"), pytest.raises(errors.OutOfMemoryError):
        await asyncio.to_thread(client.set, "a", "b")
    await asyncio.to_thread(client.close)


async def test_what_is_held_arrives_afterwards(proxy, client):
    await client.ping()
    with proxy.holding():
        sending = asyncio.create_task(client.ping())
        await asyncio.sleep(0)
        assert not sending.done()
    assert await sending


async def test_links_that_died_stay_dead_and_new_ones_are_well(proxy, client):
    await client.ping()
    with proxy.silent(), pytest.raises(errors.TimeoutError):
        await client.ping()
    assert await client.ping()


async def test_connections_are_reset(proxy, client):
    await client.ping()
    with proxy.resetting(), pytest.raises(errors.ConnectionError):
        await client.ping()
    assert await client.ping()


@pytest.mark.parametrize(
    "url",
    [
        "redis://us%2Fer:p%40ss%3A%2F%3F%23%25@h:7000/3",
        "redis://:p%40ss@h",
        "redis://h/2",
    ],
)
def test_the_proxy_is_reached_with_the_credentials_and_database_of_the_url(url):
    options = read_url(url).options
    proxies = Proxies(url, "http://h", 4)
    proxies._redis.port = 7
    seen = read_url(proxies.redis_url).options
    assert seen.pop("port") == 7
    assert seen.pop("host") == "127.0.0.1"
    assert seen == {"db": 0, **{name: options[name] for name in options.keys() - {"host", "port"}}}


@pytest.mark.parametrize(
    ("url", "names", "says"),
    [
        ("redis://h", "kill,melt", "melt: there are kill, stop, redis-errors, link, server"),
        ("rediss://:secret@h", "link", "without TLS, Sentinels or a cluster, not rediss://:***@h"),
    ],
)
def test_faults_that_cannot_be_made_are_refused(url, names, says):
    class Named(Settings):
        def __init__(self):
            pass

        def worker_redis_url(self):
            return url

    with pytest.raises(SetUpError, match=says.replace("*", r"\*")):
        faults_of(Named(), names)
