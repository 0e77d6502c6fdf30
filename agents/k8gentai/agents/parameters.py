"""The parameters of a declarative agent's model calls, as chat completions takes them."""

from typing import Any

from k8gentai.agents.context import AgentContext
from k8gentai.agents.definition import AgentDefinition
from k8gentai.agents.turn import Turn


def chat_parameters(definition: AgentDefinition, context: AgentContext) -> dict[str, Any]:
    """What the request asks for goes before what the definition says; what neither names is left out."""
    model, asked = definition.spec.model, context.parameters
    parameters: dict[str, Any] = {
        "temperature": _first(asked.get("temperature"), model.temperature),
        "top_p": _first(asked.get("top_p"), model.top_p),
        "frequency_penalty": _first(asked.get("frequency_penalty"), model.frequency_penalty),
        "presence_penalty": _first(asked.get("presence_penalty"), model.presence_penalty),
        "max_tokens": _first(asked.get("max_output_tokens"), model.max_tokens),
        "reasoning_effort": (asked.get("reasoning") or {}).get("effort"),
        "response_format": _response_format((asked.get("text") or {}).get("format")),
    }
    if context.tools or context.declared:
        parameters["tool_choice"] = _tool_choice(asked.get("tool_choice"))
        parameters["parallel_tool_calls"] = asked.get("parallel_tool_calls")
    return {name: value for name, value in parameters.items() if value is not None}


def permitted_tools(turn: Turn) -> list[dict[str, Any]]:
    """The request's tools that its ``tool_choice`` lets the model call.

    Source: https://www.openresponses.org/specification#allowed_tools
    """
    choice = turn.parameters.get("tool_choice")
    if choice == "none":
        return []
    if not isinstance(choice, dict) or choice.get("type") != "allowed_tools":
        return turn.tools
    return [tool for tool in turn.tools if any(allowed.items() <= tool.items() for allowed in choice["tools"])]


def _first(*values: float | None) -> float | None:
    return next((value for value in values if value is not None), None)


def _response_format(asked: dict[str, Any] | None) -> dict[str, Any] | None:
    """A Responses API text format as chat completions takes it."""
    if not asked or asked.get("type") == "text":
        return None
    if asked.get("type") != "json_schema":
        return asked
    schema = {name: asked[name] for name in ("name", "description", "schema", "strict") if asked.get(name)}
    return {"type": "json_schema", "json_schema": schema}


def _tool_choice(asked: str | dict[str, Any] | None) -> str | dict[str, Any] | None:
    """A Responses API tool choice as chat completions takes it."""
    if not isinstance(asked, dict):
        return asked
    if asked.get("type") == "allowed_tools":
        # The model sees no other tools: permitted_tools.
        return asked.get("mode")
    return {"type": "function", "function": {"name": asked["name"]}} if asked.get("type") == "function" else asked
