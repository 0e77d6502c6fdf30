"""The HTTP routes of :class:`k8gentai.providers.worker_api.services.StackServices`, for our own workers.

A worker's own credential opens none of this: it vouches for a turn (``k8gentai.workers.queue.grants``), and
what is searched or read is what that turn's owner may see, by the host's own access policy.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ValidationError

from k8gentai.providers.errors import ApiError, invalid
from k8gentai.providers.http import AnsweringRoute, json_body
from k8gentai.providers.requests.input_items import validation_error
from k8gentai.providers.turns.acceptor import Acceptor
from k8gentai.providers.worker_api.services import StackServices
from k8gentai.workers.queue.grants import PARENT_HEADER
from k8gentai.workers.stack.service_api import FILE, FILE_SEARCH, MODERATION, SERVICES_PATH, WEB_SEARCH, Service


def create_router(services: StackServices, acceptor: Acceptor, max_body_bytes: int) -> APIRouter:
    """Return the routes.

    Args:
        services: the services that they call.
        acceptor: knows which turn a worker asks for.
        max_body_bytes: the bytes that a request may have.
    """
    router = APIRouter(prefix=SERVICES_PATH, route_class=AnsweringRoute, include_in_schema=False)
    answers: dict[str, Callable[[Any], Awaitable[BaseModel]]] = {
        FILE_SEARCH.name: _reading(FILE_SEARCH, services.search_files),
        WEB_SEARCH.name: _reading(WEB_SEARCH, services.search_web),
        MODERATION.name: _reading(MODERATION, services.moderate),
        FILE.name: _reading(FILE, services.file),
    }

    @router.post("/{service}")
    async def serve(
        service: str, request: Request, x_amf_parent: Annotated[str | None, Header()] = None
    ) -> Response:
        if service not in answers:
            raise ApiError(404, f"There is no service '{service}'.")
        async with acceptor.on_behalf(x_amf_parent) as parent:
            if parent is None:
                raise ApiError(403, f"The stack serves its workers here: '{PARENT_HEADER}' is missing.")
            body = await json_body(request, max_body_bytes)
            try:
                return JSONResponse((await answers[service](body)).model_dump(mode="json"))
            except ValidationError as error:
                raise validation_error(error) from None
            except ValueError as error:
                # The host's word for what it was asked wrongly.
                raise invalid(str(error)) from error

    return router


def _reading[Asked: BaseModel, Answer: BaseModel](
    service: Service[Asked, Answer], answer: Callable[[Asked], Awaitable[Answer]]
) -> Callable[[Any], Awaitable[Answer]]:
    """Return what answers the JSON of a service's requests."""

    async def read(body: Any) -> Answer:
        return await answer(service.asked.model_validate(body))

    return read
