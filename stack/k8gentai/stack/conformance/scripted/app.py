"""The server's ASGI application (https://asgi.readthedocs.io). Written against bare ASGI so that the end of a
client's connection is seen while an answer waits at a gate, and so that the bench measures us and not it."""

import asyncio
import json
import re
import threading
from collections.abc import Awaitable, Callable
from typing import Any

from k8gentai.stack.conformance.scripted.chat import Chunks, whole
from k8gentai.stack.conformance.scripted.default import default_answer
from k8gentai.stack.conformance.scripted.embeddings import embeddings
from k8gentai.stack.conformance.scripted.steps import (
    ENDLESS_LINE,
    FOREVER,
    HANG_UP,
    Answer,
    Call,
    Ending,
    Gate,
    Pause,
    Raw,
    Received,
    Refuse,
    Step,
    Thought,
    text_of,
)

MODELS = ("scripted-model", "scripted-other")
_KEY = re.compile(r"\[\[(\w[\w-]*)\]\]")
_FOREVER_PAUSE = 0.02
"""Seconds between the deltas of a stream that never ends."""

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]


class HungUp(Exception):  # noqa: N818 - a wish of the script's
    """Makes uvicorn drop the connection: an application that raises after its first byte is cut off."""


class ScriptedApp:
    """Answers by script. Scripts may be added from another thread.

    Args:
        record: keep every request; the bench does not.
    """

    def __init__(self, record: bool = True) -> None:
        self.received: list[Received] = []
        self.arrived = threading.Condition()
        self._scripts: dict[str, tuple[Step, ...]] = {}
        self._counts: dict[str | None, int] = {}
        self._record = record

    def script(self, key: str, *steps: Step) -> None:
        self._scripts[key] = steps

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path = scope["path"].removeprefix("/v1")
        if path == "/models":
            models = [{"id": name, "object": "model", "created": 0, "owned_by": "scripted"} for name in MODELS]
            await _send_json(send, 200, {"object": "list", "data": models})
        elif path == "/chat/completions":
            await self._completion(scope, receive, send)
        elif path == "/moderations":
            blocked = "sword" in json.loads(await _body(receive))["input"]
            results = [{"flagged": blocked, "categories": {"violence": blocked, "hate": False}}]
            await _send_json(send, 200, {"results": results})
        elif path == "/embeddings":
            answer = embeddings(json.loads(await _body(receive)))
            refusal = {"error": {"message": "no such model, or not with such vectors"}}
            await _send_json(send, 400 if answer is None else 200, answer or refusal)
        else:
            await _send_json(send, 404, {"error": {"message": f"no such path: {path}"}})

    async def _completion(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        body = json.loads(await _body(receive))
        request = self._note(body, scope)
        step = self._step(request)
        try:
            if isinstance(step, Refuse):
                await _refuse(send, step)
            elif body.get("stream") and step.streamed:
                await _unless_closed(request, receive, _stream(send, body, step))
            else:
                await _unless_closed(request, receive, _plain(send, body, step))
        finally:
            request.ended.set()

    def _note(self, body: dict[str, Any], scope: dict[str, Any]) -> Received:
        key = _key_of(body["messages"])
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        with self.arrived:
            number = self._counts.get(key, 0)
            self._counts[key] = number + 1
            request = Received(key, number, body, headers)
            if self._record:
                self.received.append(request)
            self.arrived.notify_all()
        return request

    def _step(self, request: Received) -> Step:
        if request.key is None:
            return default_answer(request.body)
        steps = self._scripts.get(request.key)
        if steps is None:
            return default_answer(request.body)
        if request.number >= len(steps):
            # 400 is what no client tries again.
            return Refuse(400, f"the script {request.key!r} has no step {request.number}")
        return steps[request.number]


def _key_of(messages: list[dict[str, Any]]) -> str | None:
    for message in reversed(messages):
        if message["role"] == "user" and (found := _KEY.search(text_of(message))):
            return found[1]
    return None


async def _unless_closed(request: Received, receive: Receive, answer: Any) -> None:
    """Answer, and stop where the client closes the connection first."""
    answering = asyncio.ensure_future(answer)
    closing = asyncio.ensure_future(_closed(receive))
    try:
        await asyncio.wait({answering, closing}, return_when=asyncio.FIRST_COMPLETED)
        if answering.done():
            answering.result()
        else:
            request.closed_by_client.set()
    finally:
        answering.cancel()
        closing.cancel()


async def _closed(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _stream(send: Send, body: dict[str, Any], answer: Answer) -> None:
    chunks = Chunks(body, answer)
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await _more(send, chunks.first())
    for part in answer.parts:
        if isinstance(part, str):
            await _more(send, chunks.text(part))
        elif isinstance(part, Thought):
            await _more(send, chunks.thought(part.text))
        elif isinstance(part, Raw):
            await _more(send, chunks.raw(part))
        elif isinstance(part, Call):
            for chunk in chunks.call(part):
                await _more(send, chunk)
        else:
            await _pass(part)
            while part in (FOREVER, ENDLESS_LINE):
                await _more(send, chunks.text("tick ") if part is FOREVER else b"data: " * 100)
                await asyncio.sleep(_FOREVER_PAUSE)
    await send({"type": "http.response.body", "body": chunks.last()})


async def _plain(send: Send, body: dict[str, Any], answer: Answer) -> None:
    for part in answer.parts:
        if isinstance(part, Gate | Pause | Ending):
            if part is HANG_UP:
                await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
                await _more(send, b"{")
            await _pass(part)
            if part in (FOREVER, ENDLESS_LINE):
                await asyncio.Event().wait()
    await _send_json(send, 200, whole(body, answer))


async def _pass(part: Gate | Pause | Ending) -> None:
    if isinstance(part, Gate):
        await part.passed()
    elif isinstance(part, Pause):
        await asyncio.sleep(part.seconds)
    elif part is HANG_UP:
        raise HungUp


async def _more(send: Send, data: bytes) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": True})


async def _refuse(send: Send, step: Refuse) -> None:
    error = {"message": step.message, "type": "scripted", "param": None, "code": None}
    extra = [] if step.retry_after is None else [(b"retry-after", str(step.retry_after).encode())]
    await _send_json(send, step.status, {"error": error}, extra)


async def _send_json(
    send: Send, status: int, data: dict[str, Any], extra: list[tuple[bytes, bytes]] | None = None
) -> None:
    headers = [(b"content-type", b"application/json"), *(extra or [])]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(data).encode()})


async def _body(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if not message.get("more_body"):
            return body
