"""``POST /v1/chat/completions`` of the host, whose call to the model ends when its caller goes away.

The worker's model gateway calls it, and ends a call by closing the connection. The host's own route (Llama Stack
0.7, ``_preserve_context_for_sse``) closes the model's stream only if it is just waiting for the model; where the
caller goes as a chunk is on its way, the model goes on until the server's garbage is collected.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from openai import APIConnectionError, APIError, APIStatusError
from pydantic import ValidationError
from pydantic_core import PydanticSerializationError
from starlette.types import Receive, Scope, Send

from k8gentai.agents.text.json_text import read_json
from k8gentai.agents.text.utf8 import jsonable
from k8gentai.providers import host
from k8gentai.providers.errors import ApiError, invalid
from k8gentai.providers.host.agent_models import NotAModelError
from k8gentai.providers.host.chat_requests import ChatCompletionRequest
from k8gentai.providers.http import MAX_BODY_BYTES, json_body
from k8gentai.providers.overrides.model_streams import WireReading, take_errors
from k8gentai.providers.requests.input_items import validation_error
from k8gentai.workers.http.sent_errors import innermost_error

_CLOSING_SECONDS = 5.0
_UNREAD_BYTES = 64_000_000
"""The bytes by which the model may be ahead of a caller that reads slowly, or not at all."""


def create_router(
    inference: Any, listed: Callable[[str], str] = str, max_body_bytes: int = MAX_BODY_BYTES
) -> APIRouter:
    """Return the route.

    Args:
        inference: the host's Inference API.
        listed: gives the name by which the host lists what a request's ``model`` names.
        max_body_bytes: the bytes that a request may have.
    """
    router = APIRouter(include_in_schema=False)

    @router.post("/v1/chat/completions", response_model=None)
    async def complete(request: Request) -> Any:
        try:
            asked = _request(await json_body(request, max_body_bytes))
        except ApiError as error:
            return JSONResponse(error.body(), error.status_code, error.headers)
        asked.model = listed(asked.model)
        take_errors()
        try:
            answer = await inference.openai_chat_completion(asked)
        except NotAModelError as error:
            refused = invalid(str(error), "model")
            return JSONResponse(refused.body(), refused.status_code)
        except APIStatusError as error:
            # The host would leave out the code. Its client has tried again by now, as often as is worth it.
            return JSONResponse(told(error), error.status_code, headers={"X-Should-Retry": "false"})
        except APIError as error:
            return JSONResponse(told(error), 502)
        if isinstance(answer, AsyncIterator):
            return CompletionStream(answer)
        return Response(as_json(answer), media_type="application/json")

    return router


def as_json(answer: Any) -> str:
    """Return a chunk or a completion as JSON; half a character, whose other half may be in the next chunk, is
    kept.
    """
    try:
        text: str = answer.model_dump_json()
    except PydanticSerializationError:
        text = json.dumps(read_json(json.dumps(answer.model_dump())))
    return text


def told(error: Exception) -> dict[str, Any]:
    """Return what a caller is told of an error: in the words of the model's endpoint, where it has any."""
    if not isinstance(error, APIError):
        return host.error_body(error)
    inner = innermost_error(error.body)
    said = inner if isinstance(inner, dict) else {"message": inner}
    message = said.get("message") or said.get("detail") or _cause(error)
    body = {"message": str(message), "type": said.get("type") or "server_error", "param": said.get("param")}
    # An endpoint's words may hold half a character, which no answer can.
    return jsonable({"error": {**body, "code": said.get("code")}})  # type: ignore[no-any-return]


def _cause(error: APIError) -> str:
    if isinstance(error, APIConnectionError):
        return f"the model's endpoint cannot be reached ({error.__cause__ or error})"
    return error.message


def _request(body: Any) -> Any:
    try:
        return ChatCompletionRequest.model_validate(body)
    except ValidationError as error:
        raise validation_error(error) from None


class CompletionStream(StreamingResponse):
    """A model's chunks as server-sent events.

    Args:
        chunks: read in a task of its own, which nothing but the end of this response cancels: each ``async for``
            between here and the connection then hears of it.
    """

    def __init__(self, chunks: AsyncIterator[Any]) -> None:
        # The reader only ever waits for the model: a caller that lags too far behind is left.
        self._read: asyncio.Queue[str | None] = asyncio.Queue()
        self._unread = 0
        self._chunks = chunks
        self._wire = WireReading()
        super().__init__(self._events(), media_type="text/event-stream")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reading = asyncio.create_task(self._reading())
        # Cancelled before it begins, a task tells nobody.
        await asyncio.sleep(0)
        try:
            await super().__call__(scope, receive, send)
        finally:
            reading.cancel()
            await asyncio.wait({reading}, timeout=_CLOSING_SECONDS)

    async def _reading(self) -> None:
        self._wire.begin()
        finished = False
        try:
            async for chunk in self._chunks:
                finished = finished or any(choice.finish_reason for choice in getattr(chunk, "choices", ()) or ())
                self._put(f"data: {as_json(chunk)}\n\n")
                if self._unread > _UNREAD_BYTES:
                    self._leave()
        except ValidationError:
            # What the host keeps of an answer takes known finish reasons only; the answer itself is whole.
            self._end(whole=finished or self._wire.done)
            return
        except Exception as error:  # noqa: BLE001 - the answer has begun, so the error goes into the stream
            self._read.put_nowait(f"data: {json.dumps(told(error))}\n\n")
            self._read.put_nowait(None)
            return
        self._end(whole=finished or self._wire.done)

    def _end(self, *, whole: bool) -> None:
        if whole:
            self._read.put_nowait("data: [DONE]\n\n")
        elif broken := self._wire.broken():
            self._read.put_nowait(f"data: {json.dumps(broken)}\n\n")
        self._read.put_nowait(None)

    def _put(self, event: str) -> None:
        self._unread += len(event)
        self._read.put_nowait(event)

    def _leave(self) -> None:
        """Say why there is no more, and have the next read from the model cancelled, which closes its stream."""
        why = ApiError(408, f"The answer's last {_UNREAD_BYTES} bytes were not read.", code="read_too_slowly")
        self._read.put_nowait(f"data: {json.dumps(why.body())}\n\n")
        self._read.put_nowait(None)
        if task := asyncio.current_task():
            task.cancel()

    async def _events(self) -> AsyncIterator[str]:
        while (event := await self._read.get()) is not None:
            self._unread -= len(event)
            yield event
