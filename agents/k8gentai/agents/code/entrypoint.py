"""Tells by its signature what kind of object an entrypoint names, and which parts of a request may reach it."""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeGuard

from k8gentai.agents.contract.context import AgentContext
from k8gentai.agents.contract.turn import AgentLoadError, RequestError
from k8gentai.agents.resources.agent import AgentDefinition

Factory = Callable[[AgentContext], Any]
"""Builds an agent for one turn."""

Conversation = Callable[[str], Awaitable[Any]]
"""Is told what the user says and returns the answer: code that runs several agents in its own way."""


def check_names_model(definition: AgentDefinition) -> None:
    """See that a declarative agent names its model.

    Raises:
        AgentLoadError: it does not.
    """
    if not definition.spec.model.name:
        raise AgentLoadError("spec.model.name: an agent without an entrypoint names its model")


def is_factory(found: object) -> TypeGuard[Factory]:
    """Return whether it is a function that needs one argument."""
    return _parameter(found) is not None


def is_conversation(found: object) -> TypeGuard[Conversation]:
    """Return whether it is an async function whose one parameter is annotated ``str``."""
    parameter = _parameter(found)
    return inspect.iscoroutinefunction(found) and parameter is not None and parameter.annotation in (str, "str")


def function_tools(tools: list[dict[str, Any]], framework: str) -> list[dict[str, Any]]:
    """Return the request's tools as chat completions takes them.

    Raises:
        RequestError: one of them is not a function.
    """
    shaped = []
    for tool in tools:
        if tool.get("type") != "function":
            raise RequestError(
                f"tools: agents of {framework} take tools of type 'function', not {tool.get('type')!r}"
            )
        function = {name: tool[name] for name in ("name", "description", "parameters", "strict") if tool.get(name)}
        shaped.append(
            {"type": "function", "function": {"parameters": {"type": "object", "properties": {}}, **function}}
        )
    return shaped


def _parameter(found: object) -> inspect.Parameter | None:
    if not callable(found) or isinstance(found, type):
        return None
    required = [
        parameter
        for parameter in inspect.signature(found).parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    return required[0] if len(required) == 1 else None
