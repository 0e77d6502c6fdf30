"""A model that answers Llama Stack's own tests with what a real one answered them."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from k8gentai.stack.conformance.loopback import LoopbackServer
from k8gentai.stack.conformance.scripted.chat import Chunks
from tests.scripted import Answer
from tests.upstream.recordings import Recording, Recordings

_UNRECORDED_SECONDS = 3


class RecordedModel(LoopbackServer):
    """An OpenAI-compatible server on a free loopback port, in a thread of its own.

    It has to be told which test is running, by its name: :mod:`tests.upstream.plugin`.

    Args:
        recordings: its answers.
        names: the models it lists.
    """

    def __init__(self, recordings: Recordings, names: tuple[str, ...]) -> None:
        self._recordings = recordings
        self._names = names
        self._test = ""
        super().__init__(self._routes(), lifespan="off")

    @property
    def base_url(self) -> str:
        return f"{self.origin}/v1"

    @property
    def test_url(self) -> str:
        """Where it is told which test is running."""
        return f"{self.origin}/test"

    def _routes(self) -> FastAPI:
        app = FastAPI(openapi_url=None)
        app.add_api_route("/v1/models", self._models)
        app.add_api_route("/v1/chat/completions", self._chat, methods=["POST"])
        app.add_api_route("/test", self._begin, methods=["POST"])
        return app

    async def _begin(self, request: Request) -> Response:
        self._test = (await request.body()).decode()
        return Response(status_code=204)

    async def _models(self) -> JSONResponse:
        models = [{"id": name, "object": "model", "created": 0, "owned_by": "recorded"} for name in self._names]
        return JSONResponse({"object": "list", "data": models})

    async def _chat(self, request: Request) -> Response:
        body = await request.json()
        found = self._recordings.chat(self._test, body)
        if found is None:
            return StreamingResponse(_unrecorded(body), media_type="text/event-stream")
        if found.error:
            status, error = found.error
            return JSONResponse(error, status)
        if not found.streamed:
            return JSONResponse(found.chunks[0])
        return StreamingResponse(_stream(found), media_type="text/event-stream")


async def _unrecorded(body: dict[str, Any]) -> AsyncIterator[bytes]:
    """An answer that says nothing. Nothing was recorded for the tests that cancel: it leaves them time to."""
    answer = Answer("Nobody recorded an answer to this.")
    chunks = Chunks(body, answer)
    await asyncio.sleep(_UNRECORDED_SECONDS)
    yield chunks.first()
    yield chunks.text(str(answer.parts[0]))
    yield chunks.last()


async def _stream(found: Recording) -> AsyncIterator[str]:
    for chunk in found.chunks:
        yield f"data: {json.dumps(chunk)}\n\n"
    yield "data: [DONE]\n\n"
