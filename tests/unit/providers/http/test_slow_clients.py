"""Clients that send or take little at a time: how long they are waited for, and what is held for them."""

import asyncio
from collections.abc import AsyncIterator, Callable, MutableMapping
from pathlib import Path
from typing import Any

import pytest
from sse_starlette import EventSourceResponse, ServerSentEvent

from k8gentai.agents.contract import events as ev
from k8gentai.providers import http as answering
from k8gentai.providers.http import event_stream
from tests.support.providers import client_of, floor

Message = MutableMapping[str, Any]
SCOPE = {"type": "http", "method": "GET", "asgi": {"spec_version": "2.3"}}
PIECES = 5_000


async def stays() -> Message:
    """What is received of a client that stays."""
    await asyncio.Event().wait()
    raise AssertionError


async def never() -> AsyncIterator[ServerSentEvent]:
    await asyncio.Event().wait()
    yield ServerSentEvent("")


async def test_a_body_that_does_not_come_is_a_408(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answering, "BODY_SECONDS", 0.05)

    async def beginning() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    async with floor(tmp_path) as served, client_of(served) as client:
        answer = await client.post("/v1/responses", content=beginning())
    assert (answer.status_code, answer.headers["connection"]) == (408, "close")
    assert answer.json()["error"]["code"] == "request_timeout"


async def test_a_stream_in_which_nothing_happens_is_kept_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EventSourceResponse, "DEFAULT_PING_INTERVAL", 0.01)
    sent: asyncio.Queue[bytes] = asyncio.Queue()

    async def send(message: Message) -> None:
        sent.put_nowait(message.get("body", b""))

    serving = asyncio.create_task(event_stream(never())(SCOPE, stays, send))
    assert await asyncio.wait_for(sent.get(), 10) == b""
    # No blank line follows, which would make an event of it.
    assert [await asyncio.wait_for(sent.get(), 10) for _ in range(2)] == [b": ping\r\n"] * 2
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


async def test_events_are_read_as_the_client_takes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that takes nothing has nothing read for it, however much its turn writes, and misses nothing."""
    taking, sent = asyncio.Event(), bytearray()
    read = 0

    async with floor(tmp_path) as served, client_of(served) as client:
        body = {"model": "math", "input": "Go.", "background": True}
        turn_id = (await client.post("/v1/responses", json=body)).json()["id"]
        follow: Callable[..., AsyncIterator[Any]] = served.turns.follow

        async def counted(*args: Any) -> AsyncIterator[Any]:
            nonlocal read
            async for entry in follow(*args):
                read += 1
                yield entry

        monkeypatch.setattr(served.turns, "follow", counted)

        async def send(message: Message) -> None:
            if b"output_text.delta" in message.get("body", b""):
                await taking.wait()
            sent.extend(message.get("body", b""))

        app: Any = client._transport.app  # type: ignore[attr-defined]
        scope = {**SCOPE, "path": f"/v1/responses/{turn_id}", "query_string": b"stream=true"}
        serving = asyncio.create_task(app({**scope, "headers": []}, stays, send))
        deltas = [ev.TextDelta(message_id="m", delta=f"<{number}>") for number in range(PIECES)]
        await served.turns.append(turn_id, ev.TurnStarted(attempt=1, worker="w"), *deltas, ev.TurnCompleted())
        assert (await client.get(f"/v1/responses/{turn_id}")).json()["status"] == "completed"
        assert read < 10
        taking.set()
        await asyncio.wait_for(serving, 60)
    told = sent.decode()
    assert [told.count(f'"delta": "<{number}>"') for number in (0, PIECES // 2, PIECES - 1)] == [1, 1, 1]
    assert told.count("event: response.output_text.delta") == PIECES
    assert told.endswith("data: [DONE]\r\n\r\n")
