"""A Redis Cluster: all keys of a stack lie in one slot, and everybody finds the node that has it."""

import asyncio
import os
import subprocess
import sys

import pytest
from redis.crc import key_slot

from k8gentai.stack.local.services import worker_command
from k8gentai.workers.queue import keys
from k8gentai.workers.queue.connection import AWAY, connect_blocking, until_back
from k8gentai.workers.queue.notifications import Notifications
from tests.integration.helpers import ON_ONE_HOST, check_sequence, collect, prompt
from tests.scripted import Answer, Gate
from tests.support.cluster import RedisCluster
from tests.support.connected import check_heard_again, connected

PREFIX = "{tests}:"
OURS = keys.FINISHED
"""The key by whose slot clients of this process, which has no prefix, find their node."""


def running(tmp_path, prefix):
    directory = tmp_path / "cluster"
    directory.mkdir()
    return RedisCluster(directory, prefix)


@pytest.fixture
def cluster(tmp_path):
    made = running(tmp_path, PREFIX)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def our_cluster(tmp_path):
    made = running(tmp_path, OURS)
    made.start()
    yield made
    made.stop()


async def test_clients_of_every_kind_go_on_with_the_replica_that_took_over(our_cluster):
    heard = asyncio.Queue()
    blocking = connect_blocking(our_cluster.url)
    async with connected(our_cluster.url) as client:
        with Notifications(client).listening("channel", heard.put_nowait):
            assert await heard.get() is None
            assert await client.set(OURS, "kept")
            assert blocking.get(OURS) == b"kept"
            assert await client.wait(1, 0) == 1
            our_cluster.primary.kill()
            assert await until_back(lambda: client.append(OURS, "+")) == 5
            while True:
                try:
                    assert blocking.get(OURS) == b"kept+"
                    break
                except AWAY:
                    pass
            await check_heard_again(client, "channel", heard)
    blocking.close()


async def test_clients_of_every_kind_follow_the_slot_without_an_error(our_cluster):
    blocking = connect_blocking(our_cluster.url)
    async with connected(our_cluster.url) as client:
        assert await client.set(OURS, "kept")
        assert blocking.get(OURS) == b"kept"
        our_cluster.move_slot()
        assert await client.append(OURS, "+") == 5
        assert blocking.get(OURS) == b"kept+"
        assert client.connection_pool.connection_kwargs["cluster"].to_ask()[0][1] == our_cluster.second.port
    blocking.close()


@ON_ONE_HOST
async def test_turns_run_and_go_on_where_the_replica_takes_over(own_stack, cluster, model, key):
    own_stack.key_prefix = PREFIX
    own_stack.environment["REDIS_URL"] = cluster.url
    server = own_stack.add_server()
    own_stack.add_worker("langgraph", ready=False)
    away, back = Gate(), Gate()
    model.script(key, Answer("One ", away, "two ", back, "three."), Answer("Again."))
    async with server.openai() as client:
        stream = await client.responses.create(model="plain", input=prompt(key), stream=True)
        reading = asyncio.create_task(collect(stream))
        await away.reached()
        await asyncio.to_thread(cluster.kill_in_step)
        away.open()
        await asyncio.to_thread(cluster.wait_until_over)
        await back.reached()
        back.open()
        events = await reading
        check_sequence(events)
        assert events[-1].response.output_text == "One two three."
        again = await client.with_options(max_retries=10).responses.create(model="plain", input=prompt(key))
        assert again.output_text == "Again."
    with cluster.replica.client() as redis:
        names = [name.decode() for name in redis.scan_iter(count=1000)]
    assert [name for name in names if not name.startswith(PREFIX)] == []
    assert {key_slot(name.encode()) for name in names} == {cluster.slot}


@pytest.mark.parametrize(
    ("url", "prefix", "says"),
    [
        ("redis+cluster://127.0.0.1:{port}", "prod:", "AMF_KEY_PREFIX='{k8gentai}:'"),
        ("redis://127.0.0.1:{port}", PREFIX, "name that as redis+cluster://"),
        ("redis+cluster://127.0.0.1:{port}", "a'", "AMF_KEY_PREFIX cannot be"),
    ],
)
def test_a_worker_ends_with_a_clear_word_where_keys_would_be_split(cluster, url, prefix, says):
    done = subprocess.run(
        worker_command(sys.executable, "langgraph"),
        env={**os.environ, "REDIS_URL": url.format(port=cluster.primary.port), "AMF_KEY_PREFIX": prefix},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert says in done.stdout + done.stderr
