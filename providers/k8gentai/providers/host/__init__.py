"""The host we plug into, and everything of it that this floor uses: Llama Stack 0.7, or OGX 1.5, as it is called
since then.

Nothing else in ``providers`` knows which of the two it is. Nearly all names are where they were; neither ships
type information.
"""

import importlib.util
import os
import re
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy.exc import IntegrityError
from starlette.types import ASGIApp, Receive, Scope, Send

# This has the engines that the host makes say when their database is away.
import k8gentai.providers.host.storage  # noqa: F401


def _name() -> str:
    """Return the host that is running, else the one that is installed."""
    for name in ("ogx", "llama_stack"):
        if f"{name}.core" in sys.modules:
            return name
    return "llama_stack" if importlib.util.find_spec("llama_stack") else "ogx"


NAME = _name()
"""The host's package: ``llama_stack`` or ``ogx``."""

ONE_LOOP = NAME == "ogx"
"""Whether providers are made in the event loop that serves. Only then may they keep anything open; else the
lifespan of their router must begin it, which this host in turn does not run."""


def _core(module: str) -> Any:
    return import_module(f"{NAME}.core.{module}")


_api: Any = import_module(f"{NAME}_api")
Api = _api.Api
ConversationItemNotFoundError = _api.ConversationItemNotFoundError
ConversationNotFoundError = _api.ConversationNotFoundError
EmbeddingData = _api.OpenAIEmbeddingData
EmbeddingsResponse = _api.OpenAIEmbeddingsResponse
EmbeddingUsage = _api.OpenAIEmbeddingUsage
InferenceProvider = _api.InferenceProvider
InlineProviderSpec = _api.InlineProviderSpec
InvalidParameterError = _api.InvalidParameterError
Model = _api.Model
ModelNotFoundError = _api.ModelNotFoundError
ModelType = _api.ModelType
RemoteProviderSpec = _api.RemoteProviderSpec
Responses = _api.Responses
types: Any = _api.openai_responses

OPTIONAL_APIS = [
    getattr(Api, name)
    for name in ("files", "safety", "tool_groups", "tool_runtime", "vector_io")
    # OGX has no Safety API: its guardrails are an endpoint of its own.
    if hasattr(Api, name)
]
"""The APIs that a stack may have beside those that every one has. Turns of models may ask for them."""

_errors: Any = import_module(f"{NAME}_api.common.errors")
HostError = _errors.OGXError if NAME == "ogx" else _errors.LlamaStackError
"""The class of the host's own errors, which have a ``status_code``."""

_WRONG_PARAMETER = re.compile(r"Invalid value for '(\w+)'")

_conversations: Any = import_module(f"{NAME}_api.conversations")
AddItemsRequest = _conversations.AddItemsRequest
ConversationItemList = _conversations.ConversationItemList
CreateConversationRequest = _conversations.CreateConversationRequest
DeleteConversationRequest = _conversations.DeleteConversationRequest
GetConversationRequest = _conversations.GetConversationRequest
ITEMS = "conversation_items"
"""The table of the conversations' items."""
POSITION = "sort_order" if NAME == "ogx" else "created_at"
"""The column of that table by which the host sorts the items."""
RowExistsError = IntegrityError
"""The error of the host's store where a row of the same id is there."""
POSITIONS_ARE_TIMES = NAME == "llama_stack"
"""Whether it fills that column by its clock."""
_ITEMS: TypeAdapter[list[Any]] = TypeAdapter(list[_conversations.ConversationItem])

_connectors: Any = import_module(f"{NAME}_api.connectors")
GetConnectorRequest = _connectors.GetConnectorRequest
ListConnectorToolsRequest = _connectors.ListConnectorToolsRequest

_files: Any = import_module(f"{NAME}_api.files")
RetrieveFileContentRequest = _files.RetrieveFileContentRequest
RetrieveFileRequest = _files.RetrieveFileRequest

GetPromptRequest = import_module(f"{NAME}_api.prompts").GetPromptRequest
SearchVectorStoreRequest = import_module(f"{NAME}_api.vector_io").OpenAISearchVectorStoreRequest

_columns: Any = import_module(f"{NAME}_api.internal.sqlstore")
ColumnDefinition = _columns.ColumnDefinition
ColumnType = _columns.ColumnType

CreateResponseRequest = import_module(f"{NAME}_api.responses").CreateResponseRequest

AccessDeniedError = _core("access_control.access_control").AccessDeniedError
Action = _core("access_control.datatypes").Action
User = _core("datatypes").User
get_authenticated_user = _core("request_headers").get_authenticated_user
is_action_allowed = _core("access_control.access_control").is_action_allowed
request_provider_data_context = _core("request_headers").request_provider_data_context


async def sql_store(backend: str, table: str, policy: list[Any]) -> Any:
    """Return the host's SQL store, which lets each caller see what the policy allows.

    Args:
        backend: a name in the run YAML's ``storage.backends``.
        table: the one it is used for.
        policy: access rules.
    """
    reference = _core("storage.datatypes").SqlStoreReference(backend=backend, table_name=table)
    authorized = _core("storage.sqlstore.authorized_sqlstore")
    if NAME == "ogx":
        return await authorized.authorized_sqlstore(reference, policy)
    return authorized.AuthorizedSqlStore(_core("storage.sqlstore.sqlstore").sqlstore_impl(reference), policy)


async def has_vector_store(vector_io: Any, store: str) -> bool:
    """Return whether there is a vector store that the caller may see.

    Args:
        vector_io: the host's Vector IO API, which looks for stores in the same list.
        store: the store's id.
    """
    return await vector_io.routing_table.get_object_by_identifier("vector_store", store) is not None


def item_rows(conversation: str, items: list[dict[str, Any]], first: int) -> list[dict[str, Any]]:
    """Return what the host's table keeps of a conversation's items.

    Args:
        conversation: the conversation's id.
        items: each with its id.
        first: the position of the first one; the others follow it.

    Raises:
        pydantic.ValidationError: the host knows no such item.
    """
    return [
        {
            "id": item.id,
            "conversation_id": conversation,
            "created_at": position,
            POSITION: position,
            "item_data": item.model_dump(),
        }
        for position, item in enumerate(_ITEMS.validate_python(items), first)
    ]


def items_of(rows: list[dict[str, Any]]) -> list[Any]:
    """Return the items that rows of the host's table keep."""
    found: list[Any] = _ITEMS.validate_python([row["item_data"] for row in rows])
    return found


def error_body(error: Exception) -> dict[str, Any]:
    """Return what the host tells a client about an exception, in the OpenAI API's shape."""
    told = _core("exceptions.translation").translate_exception(error)
    code = getattr(error, "code", None) or told.status_code
    body: dict[str, Any] = _errors.OpenAIErrorResponse.from_message(told.detail, code=str(code)).to_dict()
    return body


def parameter_at_fault(message: str) -> str | None:
    """Return the request's field that an ``InvalidParameterError`` names, which keeps nothing but its message."""
    named = _WRONG_PARAMETER.match(message)
    return named[1] if named else None


def found(hit: Any) -> dict[str, Any]:
    """Return one hit of a vector store's search, ready for JSON, with the file's id.

    A passage that is the query itself has an infinite score with Faiss. OGX's processor of texts and PDFs numbers
    documents anew, and its search gives that number where the file's id belongs, which is then only among the
    attributes.
    """
    told: dict[str, Any] = hit.model_dump(mode="json", exclude_none=True)
    told["score"] = min(hit.score, sys.float_info.max)
    return {**told, "file_id": (told.get("attributes") or {}).get("file_id") or told["file_id"]}


async def violation(safety: Any, text: str, guardrail: str) -> str | None:
    """Return why a guardrail blocks a text, in the host's own words; None where it does not.

    Args:
        safety: the host's Safety API.
        text: the text to judge.
        guardrail: the id of a shield.

    Raises:
        ValueError: there is no such shield.
    """
    own = import_module(f"{NAME}.providers.inline.responses.builtin.responses.utils")
    why: str | None = await own.run_guardrails(safety, text, [guardrail])
    return why


def serve_any_client_version() -> None:
    """Have the host serve clients of other versions than its own.

    To be called while it makes its providers: it looks at this, its own switch, right after that
    (``llama_stack/core/server/server.py``, ``create_app``)."""
    os.environ.setdefault("LLAMA_STACK_DISABLE_VERSION_CHECK", "1")


def put_around_app(middleware: Callable[[Any, ASGIApp], ASGIApp]) -> None:
    """Put an ASGI middleware around the host's application, outside of all the host's own.

    The hosts give no provider their application, and OGX makes its providers after it has begun to serve
    (``ogx/core/server/server.py``, ``lifespan``), so it is their class that is changed.

    Args:
        middleware: takes the application and what it wraps, once its routes stand.
    """
    app_class = _core("server.server").StackApp
    inner = app_class.__call__
    wrapped: list[ASGIApp] = []

    async def call(app: Any, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await inner(app, scope, receive, send)
            return
        if not wrapped:
            wrapped.append(middleware(app, inner.__get__(app)))
        await wrapped[0](scope, receive, send)

    app_class.__call__ = call


def cors(server: Any) -> Any:
    """Return what ``server.cors`` of the run YAML allows; None where it allows nothing, or the host knows no such
    field.

    Args:
        server: the host's ``ServerConfig``.
    """
    return _core("datatypes").process_cors_config(getattr(server, "cors", None))
