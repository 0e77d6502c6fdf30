"""Many clients that wait, on one server: they hold no connection to Redis."""

import asyncio
import resource

import httpx
import pytest

from k8gentai.workers.connection import CONNECTIONS
from k8gentai.workers.turns import Turns
from tests.integration.helpers import ON_ONE_HOST, eventually, prompt
from tests.scripted import Answer
from tests.support.accepting import ask
from tests.support.connected import connected

WAITING = 300
"""Clients of a server. It had refused the hundredth; a thousand behave alike, and take minutes to start."""
FOLLOWED = 1_000
"""Turns that one process follows."""


async def test_one_process_follows_thousands_of_turns_on_one_connection(valkey):
    async with connected(valkey.url) as client:
        await client.flushall()
        turns = Turns(client)
        ids = [turn_id for _ in range(FOLLOWED // 50) for turn_id in await _fifty(turns)]
        following = [asyncio.create_task(_types(turns, turn_id)) for turn_id in ids]

        async def followed():
            return len(await client.pubsub_channels("amf:turn:*"))

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
def many_files():
    """A socket for each client, on both sides."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8_192, hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@ON_ONE_HOST
async def test_a_server_serves_others_while_many_clients_wait(own_stack, model, key, many_files):
    """Half of them read a stream, half wait for a plain answer. Turns without a worker are enough to wait for."""
    server = own_stack.add_server()
    model.script(key, Answer("Done."))
    limits = httpx.Limits(max_connections=None)
    async with server.http(limits=limits) as http, httpx.AsyncClient(base_url=server.url, timeout=60) as other:
        queued = (await _create(http, prompt(f"{key}queued"), background=True)).json()["id"]
        reading = [asyncio.create_task(_read(http, queued)) for _ in range(WAITING // 2)]
        waiting = [asyncio.create_task(_create(http, prompt(f"{key}w{n}"))) for n in range(WAITING // 2)]
        with own_stack.redis() as redis:

            async def accepted():
                return redis.llen("rq:queue:langgraph")

            await eventually(accepted, lambda turns: turns == WAITING // 2 + 1, 300)

            async def followed():
                return sum(count for _, count in redis.pubsub_numsub(*redis.pubsub_channels("amf:turn:*")))

            await eventually(followed, lambda channels: channels == WAITING // 2 + 1, 300)
            assert len(redis.client_list()) < CONNECTIONS + 10
            assert (await other.get(f"/v1/responses/{queued}")).status_code == 200
            assert (await _create(other, prompt(key), background=True)).status_code == 200
            await other.post(f"/v1/responses/{queued}/cancel")
            for text in await asyncio.gather(*reading):
                assert "response.cancelled" in text or "[DONE]" in text

            async def settled():
                return redis.hget(f"amf:turn:{queued}", "settled")

            assert await eventually(settled, lambda value: value is not None) == b"1"
            assert len(redis.client_list()) < CONNECTIONS + 10
            for turn_id in redis.lrange("rq:queue:langgraph", 0, -1):
                await other.post(f"/v1/responses/{turn_id.decode()}/cancel")
            answers = await asyncio.gather(*waiting)
            assert {answer.status_code for answer in answers} == {200}


async def _create(http, text, **options):
    return await http.post("/v1/responses", json={"model": "plain", "input": text, **options})


async def _read(http, response_id):
    return (await http.get(f"/v1/responses/{response_id}", params={"stream": "true"})).text
