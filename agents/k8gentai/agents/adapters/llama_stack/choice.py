"""Applies a request's ``tool_choice`` to Llama Stack's loop, which shows the model the tools that it allows but
runs any.

Source: https://www.openresponses.org/specification#allowed_tools
"""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import Any

from llama_stack_api import (
    CreateResponseRequest,
    OpenAIResponseInputToolChoiceAllowedTools,
    OpenAIResponseInputToolChoiceFunctionTool,
)

from k8gentai.agents.adapters.base.tool_choice import check_named
from k8gentai.agents.contract.turn import TurnContext


def on_client(request: CreateResponseRequest, context: TurnContext) -> AbstractSet[str] | None:
    """Return the names of the tools that the client runs; None where any name may be one.

    The loop leaves a name that the model made up to the client, where the request brings tools at all, and drops
    it otherwise. Where the request brings none, or the agent has tools of its own, the model is told that there is
    no such tool, as it is where the request says which tools may be called.
    """
    if request.tools and not context.declared and not _restricts(request.tool_choice):
        return None
    return {tool.name for tool in request.tools or [] if tool.type == "function"}


def allows(choice: Any, name: str, server_label: str | None) -> bool:
    """Return whether the model may call a tool that runs here.

    Args:
        choice: the request's tool choice.
        name: the tool.
        server_label: the server it is on; None for a search of the loop's own.
    """
    if not _restricts(choice):
        return True
    listed = [] if choice == "none" else choice.tools
    if server_label is None:
        # Web searches have types with a date in them.
        return any(tool["type"].startswith(name) for tool in listed)
    return any(tool.get("server_label") == server_label and tool.get("name", name) == name for tool in listed)


def check_choice(choice: Any, tools: Iterable[dict[str, Any]]) -> None:
    """See that the function which a request wants called is there.

    Args:
        choice: the request's tool choice.
        tools: all that the model is offered, as chat completions takes them.

    Raises:
        RequestError: it is not.
    """
    if isinstance(choice, OpenAIResponseInputToolChoiceFunctionTool):
        check_named(choice.name, (tool["function"]["name"] for tool in tools))


def _restricts(choice: Any) -> bool:
    return choice == "none" or isinstance(choice, OpenAIResponseInputToolChoiceAllowedTools)
