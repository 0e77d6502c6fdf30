"""A model's stream ends with its caller, at whatever moment that goes."""

import asyncio
from collections.abc import AsyncIterator, MutableMapping
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from openai import BadRequestError

from k8gentai.providers.overrides import completions
from k8gentai.providers.overrides.completions import CompletionStream, create_router, told

CHUNK = SimpleNamespace(model_dump_json=lambda: '{"id": "c1"}')


class Connection:
    """A model's connection, as the openai SDK holds one: only a read that is cancelled closes it."""

    def __init__(self, sends: int) -> None:
        self.sends = sends
        self.closed = asyncio.Event()

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        if not self.sends:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                # Closing takes a while, and a second cancellation would break it off.
                for _ in range(5):
                    await asyncio.sleep(0)
                self.closed.set()
                raise
        self.sends -= 1
        return CHUNK


async def _through_the_host(connection: Connection) -> AsyncIterator[Any]:
    async for chunk in connection:
        yield chunk


@pytest.mark.parametrize(("sent", "gone_after"), [(n, m) for n in (0, 1, 3) for m in range(-1, n + 1)])
async def test_the_models_stream_is_closed_whenever_its_caller_goes(sent: int, gone_after: int) -> None:
    connection = Connection(sent)
    gone = asyncio.Event()
    seen = 0
    if gone_after < 0:
        gone.set()

    async def receive() -> MutableMapping[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        nonlocal seen
        seen += message["type"] == "http.response.body"
        if seen == gone_after:
            gone.set()

    stream = CompletionStream(_through_the_host(connection))
    await asyncio.wait_for(stream({"type": "http", "asgi": {"spec_version": "2.3"}}, receive, send), 10)
    assert connection.closed.is_set()


async def test_an_error_in_mid_stream_is_told_in_the_stream() -> None:
    async def broken() -> AsyncIterator[Any]:
        yield CHUNK
        raise ValueError("the model is out of words")

    sent: list[bytes] = []

    async def receive() -> MutableMapping[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message.get("body", b""))

    stream = CompletionStream(broken())
    await asyncio.wait_for(stream({"type": "http", "asgi": {"spec_version": "2.3"}}, receive, send), 10)
    assert sent[1] == b'data: {"id": "c1"}\n\n'
    assert b"the model is out of words" in sent[2]


async def test_a_refusal_keeps_the_models_code() -> None:
    response: Any = httpx.Response(400, request=httpx.Request("POST", "http://model/v1/chat/completions"))
    body = {"message": "Invalid base64 image_url.", "code": "invalid_base64"}

    class Inference:
        async def openai_chat_completion(self, _: Any) -> Any:
            raise BadRequestError("Invalid base64 image_url.", response=response, body=body)

    app = FastAPI()
    app.include_router(create_router(Inference()))
    asked = {"model": "m", "messages": [{"role": "user", "content": "What is this?"}]}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://stack") as client:
        answered = await client.post("/v1/chat/completions", json=asked)
    assert (answered.status_code, answered.json()["error"]["code"]) == (400, "invalid_base64")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            [{"error": {"message": "No such model.", "type": "not_found", "code": 404}}],
            ("No such model.", "not_found", 404),
        ),
        (
            {"error": {"message": "No such model.", "type": "t", "code": "c"}, "status": 400},
            ("No such model.", "t", "c"),
        ),
        ({"error": "No such model.", "code": "c"}, ("No such model.", "server_error", "c")),
        ({"detail": "No such model."}, ("No such model.", "server_error", None)),
        ({"detail": {"error": {"message": "No such model."}}}, ("No such model.", "server_error", None)),
        ({"message": "No such model.", "error": "Bad Request"}, ("No such model.", "server_error", None)),
        (["No such model."], ("No such model.", "server_error", None)),
        ("No such model.", ("No such model.", "server_error", None)),
        ([], ("Error code: 400", "server_error", None)),
        (None, ("Error code: 400", "server_error", None)),
    ],
)
def test_what_an_endpoint_says_is_found_in_whatever_is_around_it(body: Any, said: tuple[Any, ...]) -> None:
    response: Any = httpx.Response(400, request=httpx.Request("POST", "http://model/v1/chat/completions"))
    error = told(BadRequestError("Error code: 400", response=response, body=body))["error"]
    assert (error["message"], error["type"], error["code"]) == said


async def test_a_caller_that_reads_nothing_is_left_before_memory_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completions, "_UNREAD_BYTES", 1_000)
    left = asyncio.Event()
    sent: list[bytes] = []

    async def endless() -> AsyncIterator[Any]:
        try:
            while True:
                await asyncio.sleep(0)
                yield CHUNK
        finally:
            left.set()

    async def receive() -> MutableMapping[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.body":
            await left.wait()
            sent.append(message.get("body", b""))

    stream = CompletionStream(endless())
    await asyncio.wait_for(stream({"type": "http", "asgi": {"spec_version": "2.3"}}, receive, send), 10)
    told = b"".join(sent)
    assert b"read_too_slowly" in told
    assert len(told) < 2_000


@pytest.mark.parametrize(
    ("content", "status", "param"),
    [
        (b'{"model": "m", "messages": "' + b"x" * 1_000 + b'"}', 413, None),
        (b'{"model": "m", "messages": ' + b"[" * 200 + b"]" * 200 + b"}", 400, None),
        (b'{"model": "m"', 400, None),
        (b'{"model": "m"}', 400, "messages"),
    ],
    ids=["large", "deep", "broken", "incomplete"],
)
async def test_requests_are_limited_and_checked_as_all_are(content: bytes, status: int, param: str | None) -> None:
    app = FastAPI()
    app.include_router(create_router(None, max_body_bytes=500))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://stack") as client:
        answer = await client.post("/v1/chat/completions", content=content)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (status, param)
    assert error.keys() == {"message", "type", "param", "code"}
