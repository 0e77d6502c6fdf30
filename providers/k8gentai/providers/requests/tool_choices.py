"""Checks that a request's ``tool_choice`` names what there is: a model that is told of other tools ignores it, or
fails.
"""

from typing import Any

from k8gentai.agents.text.suggestion import did_you_mean
from k8gentai.providers.errors import invalid
from k8gentai.providers.requests.request import CreateRequest
from k8gentai.providers.requests.targets import Target


def check_tool_choice(request: CreateRequest, target: Target) -> None:
    """See that the tools which a request wants called are there. Agents with code take no such choice at all.

    Args:
        request: the request.
        target: whom it is for.

    Raises:
        ApiError: one is not; naming its place (400).
    """
    choice = request.parameters.get("tool_choice")
    if not target.declarative or choice in (None, "auto", "none"):
        return
    kind = choice.get("type") if isinstance(choice, dict) else None
    if kind == "function":
        _check_function(str(choice.get("name")), request.tools, target)
    elif kind == "allowed_tools":
        if choice.get("mode") == "required":
            _check_any(request.tools, target)
    elif kind is None:
        _check_any(request.tools, target)
    else:
        _check_of_request(choice, request.tools)


def _check_any(tools: list[dict[str, Any]], target: Target) -> None:
    if not tools and not target.has_tools:
        own = "" if target.implicit else f", and '{target.agent}' has none"
        raise invalid(f"'tool_choice' wants a tool called: the request brings no 'tools'{own}.", "tool_choice")


def _check_function(name: str, tools: list[dict[str, Any]], target: Target) -> None:
    # Servers name theirs while a turn runs.
    if not target.knows_tools or any(tool.get("type") == "mcp" for tool in tools):
        return
    known = target.tools | {str(tool.get("name") or tool.get("type")) for tool in tools}
    if name not in known:
        message = f"'tool_choice.name': there is no tool {name!r}{did_you_mean(name, known)}"
        raise invalid(message, "tool_choice.name")


def _check_of_request(choice: dict[str, Any], tools: list[dict[str, Any]]) -> None:
    """See that the request brings the tool of another kind, such as a server or a search, that it wants called."""
    kind, label = str(choice["type"]), choice.get("server_label")
    alike = [tool for tool in tools if str(tool.get("type")).startswith(kind.removesuffix("_preview"))]
    if label is not None:
        alike = [tool for tool in alike if tool.get("server_label") == label]
    if not alike:
        named = kind if label is None else f"{kind} with the 'server_label' {label!r}"
        raise invalid(f"'tool_choice' names a tool that the request does not bring: {named}.", "tool_choice")
