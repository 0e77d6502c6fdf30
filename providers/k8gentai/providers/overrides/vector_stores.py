"""Requests about a vector store that is not there, or not for the caller: 404, as the OpenAI API answers them.

All others go to the host's own routes. Those answer an unknown store with 400, and close the connection without a
word, so that the client's next request on it fails.
"""

from typing import Any

from fastapi import APIRouter
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from k8gentai.providers import host
from k8gentai.providers.errors import ApiError
from k8gentai.providers.http import AnsweringRoute

_KNOWN = "k8gentai.known_vector_store"
"""The field of an ASGI scope that says that the store is there, so that the request is not ours."""
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def create_router(vector_io: Any) -> APIRouter:
    """Return the routes.

    Args:
        vector_io: the host's Vector IO API.
    """

    class UnknownStore(AnsweringRoute):
        """Passes requests about stores that are there on to the routes behind it."""

        def matches(self, scope: Scope) -> tuple[Match, Scope]:
            return (Match.NONE, {}) if _KNOWN in scope else super().matches(scope)

        async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
            if await host.has_vector_store(vector_io, scope["path_params"]["vector_store_id"]):
                # As it was before this route was found.
                found = ("endpoint", "fastapi", "path_params", "route")
                before = {key: value for key, value in scope.items() if key not in found}
                await scope["app"].router({**before, _KNOWN: True}, receive, send)
            else:
                await super().handle(scope, receive, send)

    router = APIRouter(prefix="/v1/vector_stores", route_class=UnknownStore, include_in_schema=False)

    @router.api_route("/{vector_store_id}", methods=_METHODS)
    @router.api_route("/{vector_store_id}/{rest:path}", methods=_METHODS)
    async def refuse(vector_store_id: str) -> None:
        raise ApiError(
            404,
            f"Vector store '{vector_store_id}' was not found. GET /v1/vector_stores lists those there are.",
            code="vector_store_not_found",
            param="vector_store_id",
        )

    return router
