"""The HTTP routes of the Responses API: ``/v1/responses…``.

They replace the host's own routes of these paths, which know no ``Idempotency-Key``, no resuming of streams
and no error parameter. Being a host's external API, they come under its authentication and route policy.

Server-sent events carry ``id:`` (the sequence number) and ``event:`` (the type). A stream is taken up again
with ``GET /v1/responses/{id}?stream=true&starting_after=n`` or the header ``Last-Event-ID``. As with the
OpenAI API there is no closing ``[DONE]``: the last event says that the response ended.
"""

import json
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Annotated, Any, Literal, cast

import structlog
from fastapi import APIRouter, Header, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from sse_starlette import EventSourceResponse, ServerSentEvent

from k8gentai.agents.turn import Item
from k8gentai.providers import host
from k8gentai.providers.access import acting_as, caller
from k8gentai.providers.errors import ApiError, conversation_busy, invalid, response_not_found, store_away
from k8gentai.providers.render import StreamEvent
from k8gentai.providers.service import ResponsesService
from k8gentai.workers.accepting import (
    AnsweredError,
    ConversationBusyError,
    IdempotencyConflictError,
    QueueFullError,
)
from k8gentai.workers.connection import UNREACHABLE
from k8gentai.workers.turns import TurnNotFoundError

log = structlog.get_logger(__name__)

_PING = b": ping\r\n"
"""Keeps an idle stream's connection alive. It goes without the usual blank line: where events have ids, the
openai SDK takes that line for an event without data, and raises."""

Order = Literal["asc", "desc"]
Limit = Annotated[int, Query(ge=1, le=100)]
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def api_error(error: Exception) -> ApiError:
    """What a client is told about an exception."""
    match error:
        case ApiError():
            return error
        case RequestValidationError():
            first = error.errors()[0]
            param = str(first["loc"][-1]) if first.get("loc") else None
            return invalid(f"'{param}': {first['msg']}.", param)
        case HTTPException():
            return ApiError(error.status_code, str(error.detail), headers=dict(error.headers or {}))
        case TurnNotFoundError():
            return response_not_found(str(error))
        case QueueFullError():
            wait = str(error.retry_after)
            return ApiError(429, str(error), code="queue_full", headers={"Retry-After": wait})
        case ConversationBusyError():
            return conversation_busy(error.turn_id)
        case AnsweredError():
            by = f"answered by response '{error.by}'" if error.by else "not waiting for an answer"
            # The SDKs try again what is answered by 409.
            headers = {"X-Should-Retry": "false"}
            return ApiError(409, f"This approval request is {by}.", code="approval_answered", headers=headers)
        case IdempotencyConflictError():
            message = "This Idempotency-Key came before with another request."
            return ApiError(422, message, code="idempotency_key_reused", param="Idempotency-Key")
        case host.AccessDeniedError():
            return ApiError(403, "You may not do this.", code="access_denied")
        case host.HostError():
            return ApiError(int(error.status_code), str(error))
        case _ if isinstance(error, UNREACHABLE):
            return store_away()
        case _:
            log.exception("unexpected_error", exc_info=error)
            return ApiError(500, "Something went wrong in the server; its log says what.", code="internal_error")


class ResponsesRoute(APIRoute):
    """Answers every error in the OpenAI API's shape, and lets only a real user act."""

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                with acting_as(caller()):
                    return await handle(request)
            except Exception as error:  # noqa: BLE001 - every error has an answer
                told = api_error(error)
                return JSONResponse(told.body(), told.status_code, told.headers)

        return handler


def create_router(service: ResponsesService) -> APIRouter:
    """The routes.

    Args:
        service: what they call.
    """
    router = APIRouter(prefix="/v1/responses", route_class=ResponsesRoute, include_in_schema=False)

    @router.post("")
    async def create(
        request: Request,
        idempotency_key: Annotated[str | None, Header(max_length=255)] = None,
        x_stainless_retry_count: Annotated[int | None, Header(ge=0)] = None,
    ) -> Response:
        body = await _body(request)
        turn_id, read = await service.create(body, idempotency_key, x_stainless_retry_count)
        if read.stream:
            return _events(await service.stream(turn_id))
        if read.background:
            return JSONResponse(await service.get(turn_id))
        return JSONResponse(await service.wait(turn_id))

    @router.get("")
    async def page(
        after: str | None = None, limit: Limit = 50, model: str | None = None, order: Order = "desc"
    ) -> Response:
        found, more = await service.page(after=after, limit=limit, model=model, descending=order == "desc")
        return JSONResponse(_list([{**each.response, "input": each.input} for each in found], more))

    @router.get("/{response_id}")
    async def retrieve(
        response_id: str,
        stream: bool = False,
        starting_after: Annotated[int | None, Query(ge=0)] = None,
        last_event_id: Annotated[int | None, Header(ge=0)] = None,
    ) -> Response:
        # A reconnecting event source repeats its first URL, and says in the header how far it came.
        positions = [position for position in (starting_after, last_event_id) if position is not None]
        if stream or last_event_id is not None:
            return _events(await service.stream(response_id, max(positions, default=-1)))
        return JSONResponse(await service.get(response_id))

    @router.get("/{response_id}/input_items")
    async def input_items(
        response_id: str,
        after: str | None = None,
        before: str | None = None,
        limit: Limit = 20,
        order: Order = "desc",
    ) -> Response:
        items = await service.input(response_id)
        ordered = items[::-1] if order == "desc" else items
        window = _between(ordered, after, before)
        return JSONResponse(_list(window[:limit], len(window) > limit))

    @router.delete("/{response_id}")
    async def delete(response_id: str) -> Response:
        await service.delete(response_id)
        return JSONResponse({"id": response_id, "object": "response", "deleted": True})

    @router.post("/{response_id}/cancel")
    async def cancel(response_id: str) -> Response:
        return JSONResponse(await service.cancel(response_id))

    return router


async def _body(request: Request) -> Any:
    try:
        return json.loads(await request.body())
    except ValueError:
        raise invalid("The body is not valid JSON.") from None


def _events(stream: AsyncIterator[StreamEvent]) -> Response:
    return EventSourceResponse(
        _server_sent(stream),
        headers={"X-Accel-Buffering": "no"},
        ping_message_factory=lambda: cast(ServerSentEvent, _PING),
    )


async def _server_sent(stream: AsyncIterator[StreamEvent]) -> AsyncIterator[ServerSentEvent]:
    sequence = -1
    try:
        async for event in stream:
            sequence = event["sequence_number"]
            yield ServerSentEvent(json.dumps(event), event=event["type"], id=str(sequence))
    except Exception as error:  # noqa: BLE001 - the answer has begun, so the error goes into the stream
        told = api_error(error)
        event = {
            "type": "error",
            "sequence_number": sequence + 1,
            "code": told.code,
            "message": told.message,
            "param": told.param,
        }
        # No id: the turn's stream has no such event, and a reader resumes after the last one that counts.
        yield ServerSentEvent(json.dumps(event), event="error")


def _between(items: list[Item], after: str | None, before: str | None) -> list[Item]:
    ids = [item["id"] for item in items]
    for name, id_ in (("after", after), ("before", before)):
        if id_ is not None and id_ not in ids:
            raise invalid(f"This response has no input item '{id_}'.", name)
    start = ids.index(after) + 1 if after else 0
    return items[start : ids.index(before) if before else None]


def _list(data: list[dict[str, Any]], more: bool) -> dict[str, Any]:
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": more,
    }
