"""The model gateway: an OpenAI-compatible API on loopback, in each worker process.

Every model call of an agent comes here, is attributed to its turn, counted, given the credential, and sent on to
the stack. A call that belongs to no running turn is refused, so the address is of no use to anybody else.
"""

import asyncio
from urllib.parse import unquote

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from k8gentai.agents.adapters.base.parameters import with_asked
from k8gentai.agents.contract.turn import StepLimitReached, TurnError
from k8gentai.agents.text.json_text import json_text
from k8gentai.workers.gateway.chat_call import ChatCall
from k8gentai.workers.gateway.embedding_calls import embeddings
from k8gentai.workers.gateway.error_answers import error_answer
from k8gentai.workers.gateway.model_calls import (
    INNER_HEADER,
    PLACE_HEADER,
    SCOPE_HEADER,
    TURN_HEADER,
    ModelCalls,
    ModelError,
    OpenAttempts,
)
from k8gentai.workers.gateway.strict_json import with_json_results
from k8gentai.workers.gateway.upstream import StackLostError, Upstream, UpstreamError
from k8gentai.workers.http.web_pages import TransportSecurity
from k8gentai.workers.queue.attempts import FencedError

log = structlog.get_logger(__name__)


_NO_BODY = "the body must be a JSON object that names a model"
_PATHS = "POST /v1/chat/completions and POST /v1/embeddings"
_RESPONSES = "v1/responses"
_NO_RESPONSES = (
    "the agent's code calls its model by the Responses API, which the model gateway does not have: have it call "
    f"chat completions (LangChain: ChatOpenAI(use_responses_api=False)). The gateway takes {_PATHS}"
)


def gateway(attempts: OpenAttempts, upstream: Upstream) -> FastAPI:
    """Return the gateway's application.

    Args:
        attempts: the attempts that may call.
        upstream: the client that sends calls on.
    """
    app = FastAPI(title="k8gentai model gateway", openapi_url=None)
    app.add_middleware(TransportSecurity)

    @app.post("/v1/chat/completions")
    async def complete(request: Request) -> Response:
        calls = attempts.find(_key(request))
        if calls is None:
            return _unknown(request)
        try:
            body = await request.json()
            model = calls.model or body["model"]
        except (ValueError, KeyError, TypeError):
            return error_answer(400, _NO_BODY, "invalid_body")
        if calls.attempt.over:
            return _unknown(request)
        scope = _header(request, SCOPE_HEADER)
        if body.get("functions"):
            return error_answer(
                400, "calls of 'functions' have no ids to be recorded by: use 'tools'", "functions"
            )
        try:
            calls.begin(body.get("messages"), _header(request, PLACE_HEADER), scope)
        except StepLimitReached as limit:
            return error_answer(400, str(limit), "step_limit")
        except TurnError as refusal:
            return error_answer(400, str(refusal), refusal.code)
        asked = with_json_results(with_asked({**body, "model": model}, calls.asked))
        is_inner = INNER_HEADER in request.headers and not body.get("response_format")
        unsent = {"response_format"} if is_inner else frozenset[str]()
        call = ChatCall(calls, upstream, asked, scope=scope, unsent=unsent)
        return await call.streamed(request) if body.get("stream") else await call.whole(request)

    @app.post("/v1/embeddings")
    async def embed(request: Request) -> Response:
        calls = attempts.find(_key(request))
        if calls is None:
            return _unknown(request)
        return await _embedded(calls, upstream, request)

    @app.api_route("/{path:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    async def refuse(request: Request, path: str) -> Response:
        calls = attempts.find(_key(request))
        if calls is None:
            return _unknown(request)
        return _refused(calls, request.method, path)

    return app


def _header(request: Request, name: str) -> str:
    return unquote(request.headers.get(name, ""))


async def _embedded(calls: ModelCalls, upstream: Upstream, request: Request) -> Response:
    """Return the answer to a call of an embedding model."""
    try:
        body = await request.json()
        model = str(body["model"])
    except (ValueError, KeyError, TypeError):
        return error_answer(400, _NO_BODY, "invalid_body")
    if calls.attempt.over:
        return _unknown(request)
    try:
        calls.begin_embedding()
        answer = await embeddings(calls, upstream, request, body, _header(request, SCOPE_HEADER))
        return Response(json_text(answer), media_type="application/json")
    except TurnError as refusal:
        return error_answer(400, str(refusal), refusal.code)
    except UpstreamError as error:
        if isinstance(error, StackLostError):
            calls.lose(error)
        return error_answer(error.status, str(calls.failed(model, str(error), error.code)), "model_error")
    except (FencedError, asyncio.CancelledError):
        return error_answer(409, "the turn is over", "turn_ended")


def _refused(calls: ModelCalls, method: str, path: str) -> JSONResponse:
    """Return the answer to a call of what the gateway has not. A model call of another API ends the turn so."""
    message = f"the model gateway has no {method} /{path}: it takes {_PATHS}"
    if path.startswith(_RESPONSES):
        message = _NO_RESPONSES
        calls.error = ModelError(message, "agent_error")
    return error_answer(404, message, "not_served")


def _key(request: Request) -> str | None:
    """Return the attempt's key: our own header, or the throw-away API key of code that was handed one."""
    header = request.headers.get(TURN_HEADER)
    return header or request.headers.get("authorization", "").removeprefix("Bearer ")


def _unknown(request: Request) -> JSONResponse:
    """Return the answer to a call of no turn that runs."""
    if TURN_HEADER not in request.headers:
        return error_answer(401, "this address answers model calls of running turns only", "unknown_turn")
    place = unquote(request.headers.get(PLACE_HEADER, ""))
    call = f"this model call at {place}" if place else "this model call"
    message = (
        f"the turn that {call} belongs to is over: a thread or task that it began went on. "
        "Where that works for later turns too, run what they give it in their context: "
        "contextvars.copy_context().run(...)"
    )
    return error_answer(401, message, "turn_over")
