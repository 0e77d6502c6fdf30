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
from k8gentai.providers.worker_api.services import File, FileSearch, Moderation, StackServices, WebSearch
from k8gentai.workers.queue.grants import PARENT_HEADER
from k8gentai.workers.stack.services import SERVICES_PATH


def create_router(services: StackServices, acceptor: Acceptor, max_body_bytes: int) -> APIRouter:
    """Return the routes.

    Args:
        services: what they call.
        acceptor: knows which turn a worker asks for.
        max_body_bytes: how large a request may be.
    """
    router = APIRouter(prefix=SERVICES_PATH, route_class=AnsweringRoute, include_in_schema=False)
    answers: dict[str, tuple[type[BaseModel], Callable[[Any], Awaitable[dict[str, Any]]]]] = {
        "file-search": (FileSearch, services.search_files),
        "web-search": (WebSearch, services.search_web),
        "moderation": (Moderation, services.moderate),
        "file": (File, services.file),
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
            kind, answer = answers[service]
            body = await json_body(request, max_body_bytes)
            try:
                return JSONResponse(await answer(kind.model_validate(body)))
            except ValidationError as error:
                raise validation_error(error) from None
            except ValueError as error:
                # The host's word for what it was asked wrongly.
                raise invalid(str(error)) from error

    return router
