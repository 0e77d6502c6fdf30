"""Clients that are slow, and models and tools without measure: nobody else is held up, and all comes to an end."""

import asyncio
import json
import socket
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import urlsplit

from k8gentai.workers.queue import keys
from tests.integration.helpers import LANGGRAPH, eventually, prompt
from tests.scripted import ENDLESS_LINE, FOREVER, Answer, Call, Gate

PIECE = "0123456789" * 1_000
PIECES = 300
"""Of 10 kB each: with all that repeats them, more than the kernel holds for a connection."""


@asynccontextmanager
async def connection(stack):
    """A connection of a client that takes a few bytes at a time; HTTP/1.0, so that a body is sent as it is."""
    url = urlsplit(stack.server.url)
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, (url.hostname, url.port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=4_096)
    try:
        yield reader, writer
    finally:
        writer.close()


async def test_a_client_that_reads_nothing_holds_nothing_up_and_misses_nothing(stack, client, model, key):
    gate = Gate()
    model.script(key, Answer(gate, *[PIECE] * PIECES))
    turn = await client.responses.create(model=LANGGRAPH, input=prompt(key), background=True)
    async with connection(stack) as (reader, writer):
        writer.write(f"GET /v1/responses/{turn.id}?stream=true HTTP/1.0\r\n\r\n".encode())
        assert b"200" in await reader.readline()
        gate.open()
        with stack.redis() as redis:

            async def status():
                return redis.hget(keys.TURN + turn.id, "status")

            assert await eventually(status, lambda found: found not in (b"queued", b"running")) == b"completed"
        assert (await client.responses.create(model=LANGGRAPH, input="Hello.")).status == "completed"
        _, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    events = [json.loads(line[6:]) for line in body.splitlines() if line.startswith("data: {")]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [e["delta"] for e in events if e["type"] == "response.output_text.delta"] == [PIECE] * PIECES
    assert events[-1]["type"] == "response.completed"
    assert body.endswith("data: [DONE]\r\n\r\n")


async def test_bodies_that_come_byte_by_byte_hold_nobody_up(stack, client):
    async with AsyncExitStack() as open_:
        for _ in range(50):
            _, writer = await open_.enter_async_context(connection(stack))
            writer.write(b"POST /v1/responses HTTP/1.0\r\nContent-Length: 100\r\n\r\n{")
            await writer.drain()
        assert (await client.responses.create(model=LANGGRAPH, input="Hello.")).status == "completed"


async def test_a_model_that_writes_more_than_a_turn_may_is_stopped(client, model, key):
    model.script(key, Answer(*["x" * 1_000] * 20, FOREVER))
    response = await client.responses.create(model="terse", input=prompt(key))
    assert (response.status, response.error.reason) == ("failed", "output_limit")
    assert "10000 bytes" in response.error.message
    assert 5_000 < len(response.output_text) <= 10_000
    await model.requests(key)[0].wait_closed()


async def test_a_tools_result_without_measure_ends_the_turn(client, model, key):
    model.script(key, Answer(Call("flood", {"size": 100_000_000})), Answer("Never asked."))
    response = await client.responses.create(model="terse", input=prompt(key))
    assert (response.status, response.error.reason) == ("failed", "output_limit")
    assert "100000000 characters" in response.error.message
    assert [(item.type, item.status) for item in response.output] == [("mcp_call", "incomplete")]
    assert len(model.requests(key)) == 1


async def test_a_line_of_a_models_that_never_ends_is_left_with_the_turn(client, model, key):
    model.script(key, Answer("On and ", ENDLESS_LINE))
    response = await client.responses.create(model="hasty", input=prompt(key))
    assert (response.status, response.error.reason) == ("failed", "time_limit")
    await model.requests(key)[0].wait_closed()
