"""The HTTP routes of the classic Agents API: ``/v1/agents…`` and ``/v1alpha/agents…``.

The paths, bodies and stream are those of llama-stack 0.2 and 0.3 (``llama_stack/apis/agents``). Being a host's
external API, they come under its authentication and route policy.
"""

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import JSONResponse
from sse_starlette import ServerSentEvent

from k8gentai.providers.agents_api.dialects import DIALECTS, Dialect
from k8gentai.providers.agents_api.errors import error_body
from k8gentai.providers.agents_api.openapi import takes
from k8gentai.providers.agents_api.render import Chunk
from k8gentai.providers.agents_api.service import Accepted, AgentsService, Sent
from k8gentai.providers.agents_api.shapes import CreateAgent, CreateSession, CreateTurn, ResumeTurn
from k8gentai.providers.errors import ApiError
from k8gentai.providers.http import MAX_BODY_BYTES, AnsweringRoute, api_error, event_stream, json_body

Start = Annotated[int, Query(ge=0)]
Limit = Annotated[int, Query(ge=1, le=1000)]
Try = Annotated[int | None, Header(ge=0)]
Key = Annotated[str | None, Header(max_length=255)]


class AgentsRoute(AnsweringRoute):
    """Answers errors in the classic API's shape."""

    @staticmethod
    def error_body(error: ApiError) -> dict[str, Any]:
        return error_body(error)


def create_router(service: AgentsService, max_body_bytes: int = MAX_BODY_BYTES) -> APIRouter:
    """Return the routes of both versions.

    Args:
        service: the service that they call.
        max_body_bytes: the bytes that a request may have.
    """
    router = APIRouter()
    for dialect in DIALECTS:
        router.include_router(_agents(service, dialect, max_body_bytes))
        router.include_router(_turns(service, dialect, max_body_bytes))
    router.include_router(_tools(service))
    return router


def _agents(service: AgentsService, dialect: Dialect, max_body_bytes: int) -> APIRouter:
    """Return the routes of agents and sessions."""
    router = APIRouter(prefix=f"{dialect.prefix}/agents", route_class=AgentsRoute, tags=["Agents"])

    @router.post("", summary="Create an agent.", openapi_extra=takes(CreateAgent))
    async def create(request: Request) -> Response:
        body = await json_body(request, max_body_bytes)
        return JSONResponse({"agent_id": await service.create_agent(body)})

    @router.get("", summary="List the registered agents and those that were created.")
    async def page(request: Request, start_index: Start = 0, limit: Limit = 100) -> Response:
        found, more = await service.directory.page(start_index, limit)
        return _page(request, found, more)

    @router.get("/{agent_id}", summary="Describe an agent.")
    async def retrieve(agent_id: str) -> Response:
        return JSONResponse(await service.directory.describe(agent_id))

    @router.delete("/{agent_id}", summary="Delete an agent and its sessions.", status_code=204)
    async def delete(agent_id: str) -> Response:
        await service.delete_agent(agent_id)
        return Response(status_code=204)

    @router.post("/{agent_id}/session", summary="Begin a session.", openapi_extra=takes(CreateSession))
    async def create_session(agent_id: str, request: Request) -> Response:
        return JSONResponse(
            {"session_id": await service.create_session(agent_id, await json_body(request, max_body_bytes))}
        )

    @router.get("/{agent_id}/sessions", summary="List an agent's sessions, without their turns.")
    async def sessions(request: Request, agent_id: str, start_index: Start = 0, limit: Limit = 100) -> Response:
        await service.directory.config(agent_id)
        found = await service.sessions.of_agent(agent_id)
        end = start_index + limit
        return _page(request, found[start_index:end], len(found) > end)

    @router.get("/{agent_id}/session/{session_id}", summary="A session with its turns.")
    async def session(
        agent_id: str, session_id: str, turn_ids: Annotated[list[str] | None, Query()] = None
    ) -> Response:
        # The clients send them with commas between them.
        wanted = {turn_id for part in turn_ids for turn_id in part.split(",")} if turn_ids else None
        shown = await service.sessions.show(agent_id, session_id, wanted)
        return JSONResponse({**shown, "turns": [dialect.turn(turn) for turn in shown["turns"]]})

    @router.delete("/{agent_id}/session/{session_id}", summary="Delete a session and its turns.", status_code=204)
    async def delete_session(agent_id: str, session_id: str) -> Response:
        await service.sessions.delete(agent_id, session_id)
        return Response(status_code=204)

    return router


def _turns(service: AgentsService, dialect: Dialect, max_body_bytes: int) -> APIRouter:
    """Return the routes of turns and steps."""
    prefix = f"{dialect.prefix}/agents/{{agent_id}}/session/{{session_id}}/turn"
    router = APIRouter(prefix=prefix, route_class=AgentsRoute, tags=["Agents"])

    async def answer(accepted: Accepted) -> Response:
        if accepted.stream:
            return event_stream(_server_sent(await service.stream(accepted), dialect))
        return JSONResponse(dialect.turn(await service.wait(accepted)))

    @router.post("", summary="Run a turn.", openapi_extra=takes(CreateTurn))
    async def create(
        agent_id: str,
        session_id: str,
        request: Request,
        idempotency_key: Key = None,
        x_stainless_retry_count: Try = None,
    ) -> Response:
        sent = Sent(idempotency_key, x_stainless_retry_count)
        return await answer(
            await service.create_turn(agent_id, session_id, await json_body(request, max_body_bytes), sent)
        )

    @router.post(
        "/{turn_id}/resume",
        summary="Go on with a turn that waits for the client's tools.",
        openapi_extra=takes(ResumeTurn),
    )
    async def resume(agent_id: str, session_id: str, turn_id: str, request: Request) -> Response:
        return await answer(
            await service.resume_turn(agent_id, session_id, turn_id, await json_body(request, max_body_bytes))
        )

    @router.get("/{turn_id}", summary="A turn as it stands, finished or not.")
    async def retrieve(agent_id: str, session_id: str, turn_id: str) -> Response:
        return JSONResponse(dialect.turn(await service.turn(agent_id, session_id, turn_id)))

    @router.get("/{turn_id}/step/{step_id}", summary="One step of a turn.")
    async def step(agent_id: str, session_id: str, turn_id: str, step_id: str) -> Response:
        found = await service.step(agent_id, session_id, turn_id, step_id)
        return JSONResponse({"step": dialect.step(found)})

    return router


def _tools(service: AgentsService) -> APIRouter:
    """Return what ``Agent`` of clients 0.2 asks for each of its tool groups."""
    router = APIRouter(route_class=AgentsRoute, tags=["Agents"])

    @router.get("/v1/tools", summary="The tools of a tool group.")
    async def tools(toolgroup_id: str) -> Response:
        return JSONResponse({"data": await service.toolgroups.listed(toolgroup_id)})

    return router


async def _server_sent(chunks: AsyncIterator[Chunk], dialect: Dialect) -> AsyncIterator[ServerSentEvent]:
    try:
        async for chunk in chunks:
            yield ServerSentEvent(json.dumps(dialect.chunk(chunk)))
    except Exception as error:  # noqa: BLE001 - the answer has begun, so the error goes into the stream
        yield ServerSentEvent(json.dumps(error_body(api_error(error))))


def _page(request: Request, data: list[dict[str, Any]], more: bool) -> Response:
    return JSONResponse({"data": data, "has_more": more, "url": request.url.path})
