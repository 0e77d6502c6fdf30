"""The host we plug into, and everything of it that this floor uses: Llama Stack 0.7.

Nothing else in ``providers`` imports the host, so that another host (OGX) is added in this one place.
The host ships no type information, hence the ignores.
"""

import logging
from typing import Any

from llama_stack.core.access_control.access_control import (  # type: ignore[import-untyped]
    AccessDeniedError,
    is_action_allowed,
)
from llama_stack.core.access_control.datatypes import AccessRule, Action  # type: ignore[import-untyped]
from llama_stack.core.datatypes import User  # type: ignore[import-untyped]
from llama_stack.core.exceptions.translation import translate_exception  # type: ignore[import-untyped]
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
    OpenAIChatCompletionRequestWithExtraBody,
    RemoteProviderSpec,
    Responses,
)
from llama_stack_api import openai_responses as types
from llama_stack_api.common.errors import LlamaStackError, OpenAIErrorResponse  # type: ignore[import-untyped]
from llama_stack_api.conversations import (  # type: ignore[import-untyped]
    AddItemsRequest,
    GetConversationRequest,
    ListItemsRequest,
)
from llama_stack_api.internal.sqlstore import ColumnDefinition, ColumnType  # type: ignore[import-untyped]
from llama_stack_api.responses import CreateResponseRequest  # type: ignore[import-untyped]
from rich.logging import RichHandler
from structlog.dev import ConsoleRenderer, plain_traceback

__all__ = [
    "AccessDeniedError",
    "AccessRule",
    "Action",
    "AddItemsRequest",
    "Api",
    "AuthorizedSqlStore",
    "ChatCompletionRequest",
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
    "error_body",
    "get_authenticated_user",
    "is_action_allowed",
    "log_plain_tracebacks",
    "request_provider_data_context",
    "sqlstore_impl",
    "types",
]

ChatCompletionRequest = OpenAIChatCompletionRequestWithExtraBody


def error_body(error: Exception) -> dict[str, Any]:
    """What the host tells a client about an exception, in the OpenAI API's shape."""
    told = translate_exception(error)
    body: dict[str, Any] = OpenAIErrorResponse.from_message(told.detail, code=str(told.status_code)).to_dict()
    return body


def log_plain_tracebacks() -> None:
    """Have the host log exceptions as Python prints them.

    Its own way prints every local variable and highlights each file of the stack as a whole: seconds for a model
    call that fails, in which the event loop answers nobody.
    """
    known = (logging.getLogger(name) for name in (None, *logging.root.manager.loggerDict))
    for handler in {handler for logger in known for handler in logger.handlers}:
        if isinstance(handler, RichHandler):
            handler.rich_tracebacks = False
        for processor in getattr(handler.formatter, "processors", ()):
            if isinstance(processor, ConsoleRenderer):
                processor.exception_formatter = plain_traceback
