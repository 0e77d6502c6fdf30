"""Translates the parameters of a request into those of chat completions, for an agent's model calls, and finds
those that have no such form."""

from typing import Any

from k8gentai.agents.adapters.base.tool_choice import chat_tool_choice
from k8gentai.agents.contract.context import AgentContext
from k8gentai.agents.contract.turn import Turn
from k8gentai.agents.resources.agent import AgentDefinition


def chat_parameters(definition: AgentDefinition, context: AgentContext) -> dict[str, Any]:
    """Return what the request asks for goes before what the definition says; what neither names is left out."""
    model, asked = definition.spec.model, context.parameters
    parameters: dict[str, Any] = {
        "temperature": _first(asked.get("temperature"), model.temperature),
        "top_p": _first(asked.get("top_p"), model.top_p),
        "frequency_penalty": _first(asked.get("frequency_penalty"), model.frequency_penalty),
        "presence_penalty": _first(asked.get("presence_penalty"), model.presence_penalty),
        "max_tokens": _first(asked.get("max_output_tokens"), model.max_tokens),
        "reasoning_effort": (asked.get("reasoning") or {}).get("effort"),
        "response_format": response_format((asked.get("text") or {}).get("format")),
    }
    if context.tools or context.declared:
        parameters["tool_choice"] = chat_tool_choice(asked.get("tool_choice"))
        parameters["parallel_tool_calls"] = asked.get("parallel_tool_calls")
    return {name: value for name, value in parameters.items() if value is not None}


def permitted_tools(turn: Turn) -> list[dict[str, Any]]:
    """Return the request's tools that its ``tool_choice`` lets the model call.

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


def response_format(asked: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return a Responses API text format as chat completions takes it."""
    if not asked or asked.get("type") == "text":
        return None
    if asked.get("type") != "json_schema":
        return asked
    schema = {name: asked[name] for name in ("name", "description", "schema", "strict") if asked.get(name)}
    return {"type": "json_schema", "json_schema": schema}


_REPEATED = frozenset({"truncation"})
"""Parameters that ask nothing of an agent: the response repeats them."""

_PASSED = ("prompt_cache_key", "safety_identifier", "service_tier", "user")
"""Parameters that the gateway passes on with every model call, whatever the agent, under the same names."""

_LIMITS = frozenset({"max_infer_iters", "max_tool_calls"})
"""Parameters that the worker keeps, whatever the agent."""

_CALLS = frozenset(
    {"temperature", "top_p", "frequency_penalty", "presence_penalty", "max_output_tokens", "parallel_tool_calls"}
)
"""Parameters of model calls: a declarative agent makes its calls with them, and the gateway sets them in the calls
of an agent's code."""

_DEFAULTS: dict[str, tuple[Any, ...]] = {
    "include": ([],),
    "parallel_tool_calls": (True,),
    "reasoning": ({},),
    "text": ({}, {"format": {"type": "text"}}),
    "top_logprobs": (0,),
    "tool_choice": ("auto",),
}
"""Values that ask nothing."""

CHECKED_ELSEWHERE = frozenset({"guardrails"})
"""Parameters that are looked up, and refused, with what else the request names of the stack's own."""


def unsupported(parameters: dict[str, Any], *, declarative: bool) -> str | None:
    """Find what a request asks that an agent cannot do, of any framework but Llama Stack, whose loop takes all.

    Args:
        parameters: the request's, under their Responses API names.
        declarative: the agent has no code of its own.

    Returns:
        The parameter, or the field of one (``reasoning.summary``); None where the agent can do all.
    """
    return next((place for name, value in parameters.items() if (place := _place(name, value, declarative))), None)


def asks_nothing(name: str, value: Any) -> bool:
    """Return whether a parameter changes nothing of what an agent does."""
    is_default = value is None or value in _DEFAULTS.get(name, ())
    return is_default or name in _REPEATED.union(_PASSED, CHECKED_ELSEWHERE)


def _place(name: str, value: Any, declarative: bool) -> str | None:
    if asks_nothing(name, value) or name in _LIMITS | _CALLS:
        return None
    match name:
        case "text":
            return _unknown_part(name, value, {"format"})
        case "reasoning":
            return _unknown_part(name, value, {"effort"})
        case "include":
            return f"{name}[{value.index(_LOGPROBS)}]" if _LOGPROBS in value else None
        case "tool_choice":
            kind = value.get("type") if isinstance(value, dict) else value
            allows = kind == "allowed_tools" and value.get("mode") != "required"
            does = declarative and kind in ("none", "required", "function", "allowed_tools")
            return None if does or allows else name
    return name


_LOGPROBS = "message.output_text.logprobs"


def _unknown_part(name: str, value: dict[str, Any], known: set[str]) -> str | None:
    asked = sorted(part for part, given in value.items() if given is not None and part not in known)
    return f"{name}.{asked[0]}" if asked else None


def passed_on(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return what of a request's parameters every model call of its turn has, whatever the agent.

    It is no part of the request that the journal knows a call by.
    """
    return {name: parameters[name] for name in _PASSED if parameters.get(name) is not None}


def with_asked(body: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    """Set what a request asks of model calls in a call that an agent's code makes.

    Of two limits of tokens the smaller holds. The code's own format of an answer goes before the request's, and
    a call that has to call a tool has none: its answer is no text.

    Args:
        body: the call, as chat completions takes it.
        asked: the request's parameters under their Responses API names.
    """
    names = ("temperature", "top_p", "frequency_penalty", "presence_penalty")
    changed = {**body, **{name: asked[name] for name in names if asked.get(name) is not None}}
    if effort := (asked.get("reasoning") or {}).get("effort"):
        changed["reasoning_effort"] = effort
    if most := asked.get("max_output_tokens"):
        name = "max_completion_tokens" if body.get("max_completion_tokens") else "max_tokens"
        changed[name] = min(most, body.get(name) or most)
    if body.get("tools") and asked.get("parallel_tool_calls") is not None:
        changed["parallel_tool_calls"] = asked["parallel_tool_calls"]
    shape = response_format((asked.get("text") or {}).get("format"))
    if shape and not body.get("response_format") and body.get("tool_choice", "auto") in ("auto", "none", None):
        changed["response_format"] = shape
    return changed


def wants_json(parameters: dict[str, Any]) -> bool:
    """Return whether a request asks for an answer that is JSON."""
    return response_format((parameters.get("text") or {}).get("format")) is not None
