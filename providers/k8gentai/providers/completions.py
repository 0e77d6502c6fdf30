"""``POST /v1/chat/completions`` of the host, whose call to the model ends when its caller goes away.

The worker's model gateway calls it, and ends a call by closing the connection. The host's own route (Llama Stack
0.7, ``_preserve_context_for_sse``) closes the model's stream only if it is just waiting for the model; where the
caller goes as a chunk is on its way, the model goes on until the server's garbage is collected.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse, StreamingResponse
from openai import APIStatusError
from starlette.types import Receive, Scope, Send

from k8gentai.providers import host

_CLOSING_SECONDS = 5.0


def create_router(inference: Any) -> APIRouter:
    """The route.

    Args:
        inference: the host's Inference API.
    """
    router = APIRouter(include_in_schema=False)

    @router.post("/v1/chat/completions", response_model=None)
    async def complete(request: host.ChatCompletionRequest) -> Any:
        try:
            answer = await inference.openai_chat_completion(request)
        except APIStatusError as error:
            # The host would leave out the code.
            return JSONResponse(host.error_body(error), error.status_code)
        return CompletionStream(answer) if isinstance(answer, AsyncIterator) else answer

    return router


class CompletionStream(StreamingResponse):
    """A model's chunks as server-sent events.

    Args:
        chunks: read in a task of its own, which nothing but the end of this response cancels: each ``async for``
            between here and the connection then hears of it.
    """

    def __init__(self, chunks: AsyncIterator[Any]) -> None:
        # Without a limit, so that the reader only ever waits for the model. One answer is small.
        self._read: asyncio.Queue[str | None] = asyncio.Queue()
        self._chunks = chunks
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
        try:
            async for chunk in self._chunks:
                self._read.put_nowait(f"data: {chunk.model_dump_json()}\n\n")
        except Exception as error:  # noqa: BLE001 - the answer has begun, so the error goes into the stream
            self._read.put_nowait(f"data: {json.dumps(host.error_body(error))}\n\n")
        self._read.put_nowait(None)

    async def _events(self) -> AsyncIterator[str]:
        while (event := await self._read.get()) is not None:
            yield event
