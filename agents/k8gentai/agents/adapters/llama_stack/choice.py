"""Which tools a request's ``tool_choice`` lets the model call, where the loop shows it those but runs any.

Source: https://www.openresponses.org/specification#allowed_tools
"""

from collections.abc import Set as AbstractSet
from typing import Any

from llama_stack_api import CreateResponseRequest, OpenAIResponseInputToolChoiceAllowedTools

from k8gentai.agents.contract.turn import TurnContext


def on_client(request: CreateResponseRequest, context: TurnContext) -> AbstractSet[str] | None:
    """Return the names of the tools that the client runs; None where any name may be one.

    The loop leaves a name that the model made up to the client, where the request brings tools at all, and drops
    it otherwise. An agent with tools of its own tells the model that there is no such tool, as does one whose
    request says which tools may be called.
    """
    if not context.declared and not _restricts(request.tool_choice):
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


def _restricts(choice: Any) -> bool:
    return choice == "none" or isinstance(choice, OpenAIResponseInputToolChoiceAllowedTools)
