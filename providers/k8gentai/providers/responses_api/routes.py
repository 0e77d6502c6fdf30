"""The HTTP routes of the Responses API: ``/v1/responses…``.

They replace the host's own routes of these paths, which know no ``Idempotency-Key``, no resuming of streams
and no error parameter. Being a host's external API, they come under its authentication and route policy.

Server-sent events carry ``id:`` (the sequence number) and ``event:`` (the type). A stream is taken up again
with ``GET /v1/responses/{id}?stream=true&starting_after=n`` or the header ``Last-Event-ID``. Its last data are
``[DONE]``, as https://www.openresponses.org/specification#http-responses wants them; the OpenAI API sends none.
"""

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import JSONResponse
from sse_starlette import ServerSentEvent

from k8gentai.agents.contract.turn import Item
from k8gentai.providers.errors import invalid
from k8gentai.providers.http import MAX_BODY_BYTES, AnsweringRoute, api_error, event_stream, json_body
from k8gentai.providers.rendering.render import StreamEvent
from k8gentai.providers.responses_api.obfuscation import obfuscated
from k8gentai.providers.responses_api.service import ResponsesService

Order = Literal["asc", "desc"]
Limit = Annotated[int, Query(ge=1, le=100)]
ClientVersion = Annotated[str | None, Header()]
"""The version that llama-stack-client says it has."""

_WITHOUT_DONE = ("0.2.", "0.3.", "0.4.", "0.5.", "0.6.")
"""Versions of it that may take the terminator for an event's JSON: 0.3.5 does, 0.7.5 does not."""


def create_router(service: ResponsesService, max_body_bytes: int = MAX_BODY_BYTES) -> APIRouter:
    """Return the routes.

    Args:
        service: the service that they call.
        max_body_bytes: the bytes that a request may have.
    """
    router = APIRouter(prefix="/v1/responses", route_class=AnsweringRoute, include_in_schema=False)
    _add_making(router, service, max_body_bytes)
    _add_reading(router, service)
    _add_ending(router, service)
    return router


def _add_making(router: APIRouter, service: ResponsesService, max_body_bytes: int) -> None:
    """Add the routes that accept a turn."""

    @router.post("")
    async def create(
        request: Request,
        idempotency_key: Annotated[str | None, Header(max_length=255)] = None,
        x_stainless_retry_count: Annotated[int | None, Header(ge=0)] = None,
        x_amf_parent: Annotated[str | None, Header()] = None,
        x_llamastack_client_version: ClientVersion = None,
    ) -> Response:
        body = await json_body(request, max_body_bytes)
        async with service.acceptor.on_behalf(x_amf_parent) as parent:
            turn, read = await service.acceptor.accept(
                body, idempotency_key, x_stainless_retry_count, parent=parent
            )
            if read.stream:
                events = await service.created(turn)
                if read.obfuscate:
                    events = obfuscated(events)
                return event_stream(_server_sent(events, x_llamastack_client_version))
            if read.background:
                return JSONResponse(await service.accepted(turn))
            return JSONResponse(await service.wait(turn))

    @router.post("/compact")
    async def compact(
        request: Request,
        idempotency_key: Annotated[str | None, Header(max_length=255)] = None,
        x_stainless_retry_count: Annotated[int | None, Header(ge=0)] = None,
    ) -> Response:
        body = await json_body(request, max_body_bytes)
        turn_id = await service.acceptor.accept_compaction(body, idempotency_key, x_stainless_retry_count)
        return JSONResponse(await service.compaction(turn_id))


def _add_reading(router: APIRouter, service: ResponsesService) -> None:
    """Add the routes that touch no turn."""

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
        include_obfuscation: bool = False,
        last_event_id: Annotated[int | None, Header(ge=0)] = None,
        x_llamastack_client_version: ClientVersion = None,
    ) -> Response:
        # A reconnecting event source repeats its first URL, and says in the header how far it came.
        positions = [position for position in (starting_after, last_event_id) if position is not None]
        if stream or last_event_id is not None:
            stream_events = await service.stream(response_id, max(positions, default=-1))
            if include_obfuscation:
                stream_events = obfuscated(stream_events)
            return event_stream(_server_sent(stream_events, x_llamastack_client_version))
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


def _add_ending(router: APIRouter, service: ResponsesService) -> None:
    """Add the routes that cancel a response or delete it."""

    @router.delete("/{response_id}")
    async def delete(response_id: str) -> Response:
        await service.delete(response_id)
        return JSONResponse({"id": response_id, "object": "response", "deleted": True})

    @router.post("/{response_id}/cancel")
    async def cancel(response_id: str) -> Response:
        return JSONResponse(await service.cancel(response_id))


async def _server_sent(
    stream: AsyncIterator[StreamEvent], client_version: str | None
) -> AsyncIterator[ServerSentEvent]:
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
    if client_version is None or not client_version.startswith(_WITHOUT_DONE):
        yield ServerSentEvent("[DONE]")


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
