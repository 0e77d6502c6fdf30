"""Many clients that wait, on one server: they hold no connection to Redis."""

import asyncio
import json
import resource
from functools import partial
from operator import eq
from typing import Any

import httpx
import pytest

from k8gentai.workers.queue import keys
from k8gentai.workers.queue.connection import CONNECTIONS
from k8gentai.workers.queue.turns import Turns
from tests.integration.helpers import ON_ONE_HOST, eventually, prompt
from tests.scripted import Answer
from tests.support.accepting import ask
from tests.support.connected import connected
from tests.support.raw_http import send

WAITING = 1_000
"""Clients that wait, of each kind."""
AT_ONCE = 50
"""Requests that are begun together."""
FOLLOWED = 1_000
"""Turns that one process follows."""


async def test_one_process_follows_thousands_of_turns_on_one_connection(valkey):
    async with connected(valkey.url) as client:
        await client.flushall()
        turns = Turns(client)
        ids = [turn_id for _ in range(FOLLOWED // 50) for turn_id in await _fifty(turns)]
        following = [asyncio.create_task(_types(turns, turn_id)) for turn_id in ids]

        async def followed():
            return len(await client.pubsub_channels(f"{keys.TURN}*"))

        await eventually(followed, lambda channels: channels == FOLLOWED)
        assert len(await client.client_list(_type="pubsub")) == 1
        assert len(await client.client_list()) <= CONNECTIONS
        for turn_id in ids:
            await turns.cancel(turn_id)
        assert {tuple(types) for types in await asyncio.gather(*following)} == {
            ("turn.accepted", "turn.cancelled")
        }


async def _fifty(turns):
    return await asyncio.gather(*(ask(turns) for _ in range(50)))


async def _types(turns, turn_id):
    return [event.type async for _, event in turns.follow(turn_id)]


@pytest.fixture
def files():
    """Sets how many files this process and those it starts may have open, as far as they do not raise it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield lambda most: resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, hard), hard))
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@ON_ONE_HOST
async def test_a_server_serves_others_while_thousands_wait(own_stack, model, key, files):
    """A thousand read a stream, a thousand wait for a plain answer. Turns without a worker are enough for that."""
    # The limit of most shells, systemd's services and images.
    files(1_024)
    server = own_stack.add_server()
    files(8_192)
    model.script(key, Answer("Done."))
    async with (
        connected(own_stack.valkey.url) as redis,
        httpx.AsyncClient(base_url=server.url, timeout=60) as other,
    ):
        queued = (await _create(other, prompt(f"{key}queued"))).json()["id"]
        streams = [await _stream(server.port, queued) for _ in range(WAITING)]

        async def followed():
            return len(await redis.pubsub_channels(f"{keys.TURN}*"))

        answers = []
        for _ in range(WAITING // AT_ONCE):
            body = {"model": "plain", "input": prompt(f"{key}waiting")}
            sent = (send(server.port, "POST", "/v1/responses", body) for _ in range(AT_ONCE))
            answers += await asyncio.gather(*sent)
            await eventually(followed, partial(eq, len(answers) + 1))
        waiting: Any = await redis.lrange(keys.RQ_QUEUE + "langgraph", 1, -1)
        assert len(waiting) == WAITING
        assert len(await redis.client_list()) < CONNECTIONS + 10

        assert (await other.get(f"/v1/responses/{queued}")).status_code == 200
        assert (await _create(other, prompt(key))).status_code == 200
        await other.post(f"/v1/responses/{queued}/cancel")
        for stream in streams:
            assert b"data: [DONE]" in await stream.rest()

        async def settled():
            return await redis.hget(keys.TURN + queued, "settled")

        await eventually(settled, partial(eq, b"1"))
        turns = Turns(redis)
        for turn_id in waiting:
            await turns.cancel(turn_id.decode())
        for answer in answers:
            assert (await answer.head()).startswith(b"HTTP/1.1 200")
            assert json.loads(await answer.rest())["status"] == "cancelled"
        assert len(await redis.client_list()) < CONNECTIONS + 10


async def _create(http, text):
    return await http.post("/v1/responses", json={"model": "plain", "input": text, "background": True})


async def _stream(port, response_id):
    """A stream that is open."""
    stream = await send(port, "GET", f"/v1/responses/{response_id}?stream=true")
    assert (await stream.head()).startswith(b"HTTP/1.1 200")
    return stream
