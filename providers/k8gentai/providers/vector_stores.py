"""Requests about a vector store that is not there: 404, as the OpenAI API answers them.

All others go to the host's own routes. Those answer an unknown store with 400, and close the connection without a
word, so that the client's next request on it fails.
"""

from typing import Any

from fastapi import APIRouter
from starlette.routing import Match
from starlette.types import Scope

from k8gentai.providers import host
from k8gentai.providers.answering import AnsweringRoute
from k8gentai.providers.errors import ApiError

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def create_router(vector_io: Any) -> APIRouter:
    """The routes.

    Args:
        vector_io: the host's Vector IO API.
    """

    class UnknownStore(AnsweringRoute):
        """Takes the requests about stores that the host does not know, and leaves it all others."""

        def matches(self, scope: Scope) -> tuple[Match, Scope]:
            match, found = super().matches(scope)
            if match is Match.FULL and host.has_vector_store(vector_io, found["path_params"]["vector_store_id"]):
                return Match.NONE, {}
            return match, found

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
