"""The host we plug into, and everything of it that this floor uses: Llama Stack 0.7.

Nothing else in ``providers`` imports the host, so that another host (OGX) is added in this one place.
The host ships no type information, hence the ignores.
"""

from llama_stack.core.access_control.access_control import (  # type: ignore[import-untyped]
    AccessDeniedError,
    is_action_allowed,
)
from llama_stack.core.access_control.datatypes import AccessRule, Action  # type: ignore[import-untyped]
from llama_stack.core.datatypes import User  # type: ignore[import-untyped]
from llama_stack.core.request_headers import (  # type: ignore[import-untyped]
    get_authenticated_user,
    request_provider_data_context,
)
from llama_stack.core.storage.datatypes import SqlStoreReference  # type: ignore[import-untyped]
from llama_stack.core.storage.sqlstore.authorized_sqlstore import (  # type: ignore[import-untyped]
    AuthorizedSqlStore,
)
from llama_stack.core.storage.sqlstore.sqlstore import sqlstore_impl  # type: ignore[import-untyped]
from llama_stack_api import (  # type: ignore[import-untyped]
    Api,
    ConversationNotFoundError,
    GetModelRequest,
    InferenceProvider,
    InlineProviderSpec,
    InvalidParameterError,
    Model,
    ModelNotFoundError,
    ModelType,
    RemoteProviderSpec,
    Responses,
)
from llama_stack_api import openai_responses as types
from llama_stack_api.common.errors import LlamaStackError  # type: ignore[import-untyped]
from llama_stack_api.conversations import (  # type: ignore[import-untyped]
    AddItemsRequest,
    GetConversationRequest,
    ListItemsRequest,
)
from llama_stack_api.internal.sqlstore import ColumnDefinition, ColumnType  # type: ignore[import-untyped]
from llama_stack_api.responses import CreateResponseRequest  # type: ignore[import-untyped]

__all__ = [
    "AccessDeniedError",
    "AccessRule",
    "Action",
    "AddItemsRequest",
    "Api",
    "AuthorizedSqlStore",
    "ColumnDefinition",
    "ColumnType",
    "ConversationNotFoundError",
    "CreateResponseRequest",
    "GetConversationRequest",
    "GetModelRequest",
    "InferenceProvider",
    "InlineProviderSpec",
    "InvalidParameterError",
    "ListItemsRequest",
    "LlamaStackError",
    "Model",
    "ModelNotFoundError",
    "ModelType",
    "RemoteProviderSpec",
    "Responses",
    "SqlStoreReference",
    "User",
    "get_authenticated_user",
    "is_action_allowed",
    "request_provider_data_context",
    "sqlstore_impl",
    "types",
]
