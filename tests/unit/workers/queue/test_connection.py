"""Connections to a real Valkey: what counts as away, and links that die."""

import asyncio
import contextlib
import errno
import pkgutil
import socket
import time
from typing import Any

import pytest
import redis.exceptions as errors

from k8gentai.workers.queue import connection, links
from k8gentai.workers.queue.connection import AWAY, connect, connect_blocking, until_back
from k8gentai.workers.queue.notifications import Notifications
from tests.support.connected import connected


@pytest.fixture
async def client(valkey):
    async with connected(valkey.url) as made:
        await made.flushall()
        yield made


async def test_a_sentinel_that_does_not_answer_is_named_by_its_address():
    url = "redis+sentinel://:secret@127.0.0.1:1,[::1]:1/turns"
    async with connected(url) as away:
        with pytest.raises(AWAY) as raised:
            await away.ping()
    with pytest.raises(AWAY) as blocking:
        connect_blocking(url).ping()
    for error in (raised, blocking):
        said = str(error.value)
        assert said.startswith("No master found for 'turns' : 127.0.0.1:1 - "), said
        assert "::1:1 - " in said
        assert "<" not in said
        assert "secret" not in said


REFUSALS = [
    "OOM command not allowed when used memory > 'maxmemory'.",
    "READONLY You can't write against a read only replica.",
    "MISCONF Valkey is configured to save RDB snapshots, but it's currently unable to persist to disk.",
    "NOREPLICAS Not enough good replicas to write.",
    "BUSY Valkey is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "LOADING Valkey is loading the dataset in memory",
    "NOSCRIPT No matching script. Please use EVAL.",
    "NOPERM User default has no permissions to run the 'xadd' command",
    "NOAUTH Authentication required.",
    "WRONGPASS invalid username-password pair or user is disabled.",
    "CLUSTERDOWN The cluster is down",
    "TRYAGAIN Multiple keys request during rehashing of slot",
    "MOVED 866 127.0.0.1:7002",
    "ASK 866 127.0.0.1:7002",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
    "ERR max number of clients reached",
]
FAULTS = [
    "WRONGTYPE Operation against a key holding the wrong kind of value",
    "ERR wrong number of arguments for 'get' command",
    "ERR user_script:3: Script attempted to access nonexistent global variable 'foo'",
    "ERR unknown command 'FOO', with args beginning with:",
    "BUSYGROUP Consumer Group name already exists",
    "NOGROUP No such key 'x' or consumer group 'y'",
    "CROSSSLOT Keys in request don't hash to the same slot",
]


@pytest.mark.parametrize("parser", [links.Parser, links.BlockingParser])
@pytest.mark.parametrize("answer", REFUSALS)
def test_a_refusal_that_passes_is_away(parser, answer):
    assert isinstance(parser.parse_error(answer), AWAY)


@pytest.mark.parametrize("parser", [links.Parser, links.BlockingParser])
@pytest.mark.parametrize("answer", FAULTS)
def test_a_fault_of_ours_is_not(parser, answer):
    assert not isinstance(parser.parse_error(answer), AWAY)


@pytest.mark.parametrize("of", [connect, connect_blocking])
async def test_errors_come_as_these_classes_from_a_real_server_in_scripts_and_transactions_too(valkey, client, of):
    async def run(call, *args):
        answer = call(*args)
        return await answer if asyncio.iscoroutine(answer) or hasattr(answer, "__await__") else answer

    other = of(valkey.url)
    try:
        await client.config_set("maxmemory", 1)
        for command in (
            (other.set, "a", "b"),
            (other.eval, "return redis.call('SET', 'a', 'b')", 0),
            (other.pipeline(transaction=True).set("a", "b").execute,),
            (other.pipeline(transaction=False).set("a", "b").execute,),
        ):
            with pytest.raises(errors.OutOfMemoryError):
                await run(*command)
        await client.config_set("maxmemory", 0)
        await client.config_set("min-replicas-to-write", 1)
        for command in ((other.set, "a", "b"), (other.eval, "return redis.call('SET', 'a', 'b')", 0)):
            with pytest.raises(links.StoreRefusesError):
                await run(*command)
    finally:
        await client.config_set("maxmemory", 0)
        await client.config_set("min-replicas-to-write", 0)
        await run(getattr(other, "aclose", None) or other.close)


async def test_a_flushed_script_is_loaded_again(client):
    script = client.register_script("return 7")
    assert await script() == 7
    await client.script_flush()
    assert await script() == 7


async def test_what_is_asked_while_redis_is_away_is_answered_when_it_is_back(client):
    answers = [errors.OutOfMemoryError("full"), errors.ConnectionError("gone"), links.StoreRefusesError("busy")]

    async def ask():
        if answers:
            raise answers.pop()
        return "here"

    assert await until_back(ask) == "here"


async def test_a_fault_of_ours_is_not_asked_again(client):
    await client.set("text", "x")
    with pytest.raises(errors.ResponseError, match="WRONGTYPE"):
        await until_back(lambda: client.lpush("text", "y"))


def timed_out():
    """What asyncio's transport sets where the kernel gives a connection up."""
    return TimeoutError(errno.ETIMEDOUT, "Connection timed out")


def links_of(client):
    pool = client.connection_pool
    return [*pool._in_use_connections, *pool._available_connections]


async def test_a_subscription_whose_link_the_kernel_gave_up_begins_anew_and_does_not_spin(client):
    heard = asyncio.Queue()
    with Notifications(client).listening("channel", heard.put_nowait):
        assert await heard.get() is None
        (link,) = links_of(client)
        link._reader.set_exception(timed_out())
        # It subscribes anew, and says that something may have been missed.
        assert await heard.get() is None
        await client.publish("channel", "after")
        assert await heard.get() == b"after"


async def test_a_listener_that_raises_keeps_no_word_from_the_others(client):
    def fail(_):
        raise RuntimeError("a fault of ours")

    heard, notifications = asyncio.Queue(), Notifications(client)
    with notifications.listening("channel", fail), notifications.listening("channel", heard.put_nowait):
        assert await heard.get() is None
        for word in (b"first", b"second"):
            await client.publish("channel", word)
            assert await heard.get() == word


async def test_get_message_does_not_take_a_dead_link_for_silence(client):
    """redis-py alone answers None at once, each time."""
    async with client.pubsub(ignore_subscribe_messages=True) as pubsub:
        await pubsub.subscribe("channel")
        await pubsub.get_message(timeout=1)
        (link,) = links_of(client)
        link._reader.set_exception(timed_out())
        # The first is that it is subscribed again.
        assert await pubsub.get_message(timeout=4) is None
        await client.publish("channel", "after")
        message = await pubsub.get_message(timeout=4)
        assert message["data"] == b"after"


async def test_a_command_whose_link_the_kernel_gave_up_is_sent_again(client):
    waiting = asyncio.create_task(client.blmove("from", "to", 4, "LEFT", "RIGHT"))
    while not (await client.info("clients"))["blocked_clients"]:
        assert not waiting.done()
    (link,) = client.connection_pool._in_use_connections
    link._reader.set_exception(timed_out())
    # The server may still take the first for that connection's.
    await client.rpush("from", "x", "y")
    assert await waiting in (b"x", b"y")


@pytest.mark.parametrize("idle", [True, False], ids=["idle", "in use"])
async def test_a_command_on_a_closed_transport_is_sent_on_a_new_one(client, idle):
    """asyncio's ``writelines`` raises an AttributeError there, in Python 3.12.1."""
    assert await client.ping()
    (link,) = links_of(client)
    if not idle:
        link = await client.connection_pool.get_connection()
    link._writer.transport._fatal_error(timed_out())
    await asyncio.sleep(0)
    if idle:
        assert await client.ping()
    else:
        await link.send_command("PING")
        assert await link.read_response() in (b"PONG", True)
        await client.connection_pool.release(link)


async def test_who_finds_all_connections_in_use_waits_and_is_told_that_this_is_the_cause(valkey):
    one = f"{valkey.url}?max_connections=1&timeout=0.2"
    async with connected(one) as client:
        await client.ping()
        moving: Any = client.blmove("nothing", "to", 1, "LEFT", "RIGHT")
        waiting = asyncio.create_task(moving)
        await asyncio.sleep(0)
        with pytest.raises(connection.NoConnectionFreeError):
            await client.ping()
        await waiting
        assert await client.ping()


async def test_a_primary_that_became_a_replica_is_left(client):
    assert await client.set("a", "b")
    (link,) = links_of(client)
    before = link._writer
    await client.replicaof("127.0.0.1", "1")
    try:
        with pytest.raises(errors.ReadOnlyError):
            await client.set("a", "c")
        assert link._writer is not before
    finally:
        await client.replicaof("NO", "ONE")


async def test_a_name_that_no_longer_resolves_is_away(valkey, monkeypatch):
    """The connection there was ends, and its name is gone for a while."""
    gone = False
    resolve = socket.getaddrinfo

    def getaddrinfo(host, *args, **options):
        if host != "redis.test":
            return resolve(host, *args, **options)
        if gone:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return resolve("127.0.0.1", *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    url = f"redis://redis.test:{valkey.port}/0"
    async with connected(url) as client:
        with connect_blocking(url) as blocking, valkey.client() as other:
            assert await client.ping()
            assert blocking.ping()
            gone = True
            other.client_kill_filter(_type="normal", skipme=True)
            with pytest.raises(AWAY, match="name resolution"):
                await client.ping()
            with pytest.raises(AWAY, match="name resolution"):
                blocking.ping()
            gone = False
            assert await until_back(client.ping)
            assert blocking.ping()


ODD = {
    "cut in a bulk string": b"$10\r\nabc",
    "no Redis": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "nothing": b"",
}


@pytest.mark.parametrize("ends", [True, False], ids=["ends", "stays open"])
@pytest.mark.parametrize("answer", ODD.values(), ids=ODD)
async def test_an_answer_that_is_none_is_away(monkeypatch, answer, ends):
    monkeypatch.setattr(connection, "REPLY_SECONDS", 0.3)

    async def answering(reader, writer):
        await reader.read(1)
        writer.write(answer)
        if not ends:
            await reader.read()
        writer.close()

    async with await asyncio.start_server(answering, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        url = f"redis://127.0.0.1:{port}/0"
        async with connected(url) as client:
            with pytest.raises(AWAY):
                await client.get("key")
        with connect_blocking(url) as blocking, pytest.raises(AWAY):
            await asyncio.to_thread(blocking.get, "key")


async def test_an_answer_that_drips_is_away(monkeypatch):
    monkeypatch.setattr(connection, "REPLY_SECONDS", 0.3)

    async def dripping(reader, writer):
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b"+")
                await writer.drain()
                await asyncio.sleep(0.05)

    async with await asyncio.start_server(dripping, "127.0.0.1", 0) as server:
        url = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
        async with connected(url) as client:
            with pytest.raises(AWAY):
                await client.get("key")


@pytest.mark.parametrize(
    ("waits", "patience"),
    [
        ("asyncio.open_connection", "CONNECT_SECONDS"),
        (f"{links.__name__}.Parser.read_from_socket", "REPLY_SECONDS"),
    ],
)
async def test_what_came_while_the_loop_was_held_up_is_no_silence(valkey, monkeypatch, waits, patience):
    waiting = pkgutil.resolve_name(waits)

    async def held_up(*args, **options):
        asyncio.get_running_loop().call_soon(time.sleep, 0.5)
        return await waiting(*args, **options)

    monkeypatch.setattr(waits, held_up)
    monkeypatch.setattr(connection, patience, 0.2)
    async with connected(valkey.url) as client:
        assert await client.ping()


async def test_redis_that_is_silent_is_away(monkeypatch):
    monkeypatch.setattr(connection, "REPLY_SECONDS", 0.2)

    async def silent(reader, writer):
        await reader.read()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with connected(f"redis://127.0.0.1:{port}/0") as client:
            with pytest.raises(errors.TimeoutError):
                await client.ping()
