"""The HTTP routes that list and add the items of conversations, in the order they came.

They replace the host's own of these paths, which go by its clock. All else of ``/v1/conversations`` is the host's,
with OGX also the adding of items, to which it gives positions itself.
"""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ValidationError

from k8gentai.providers import host
from k8gentai.providers.errors import invalid
from k8gentai.providers.http import MAX_BODY_BYTES, AnsweringRoute, json_body
from k8gentai.providers.requests.input_items import validation_error
from k8gentai.providers.turns.conversation_items import ConversationItems


def create_router(items: ConversationItems, max_body_bytes: int = MAX_BODY_BYTES) -> APIRouter:
    """Return the routes.

    Args:
        items: the items that they read and write.
        max_body_bytes: the bytes that a request may have.
    """
    router = APIRouter(prefix="/v1/conversations", route_class=AnsweringRoute, include_in_schema=False)

    @router.get("/{conversation_id}/items")
    async def page(
        conversation_id: str,
        after: str | None = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        order: Literal["asc", "desc"] = "desc",
    ) -> Response:
        return _answer(await items.page(conversation_id, after=after, limit=limit, descending=order == "desc"))

    if host.POSITIONS_ARE_TIMES:
        _add_writing(router, items, max_body_bytes)
    return router


def _add_writing(router: APIRouter, items: ConversationItems, max_body_bytes: int) -> None:
    @router.post("")
    async def create(request: Request) -> Response:
        asked = _read(host.CreateConversationRequest, await json_body(request, max_body_bytes))
        return _answer(await items.begin(asked))

    @router.post("/{conversation_id}/items")
    async def add(conversation_id: str, request: Request) -> Response:
        asked = _read(host.AddItemsRequest, await json_body(request, max_body_bytes))
        return _answer(await items.append(conversation_id, asked.items))


def _read(kind: Any, body: Any) -> Any:
    if not isinstance(body, dict):
        raise invalid("The body must be a JSON object.")
    if not isinstance(body.get("items"), list | None):
        # The host's types walk over whatever it is before they look.
        raise invalid("'items' must be a list.", "items")
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        raise validation_error(error) from None


def _answer(shown: BaseModel) -> Response:
    return JSONResponse(shown.model_dump(mode="json"))
