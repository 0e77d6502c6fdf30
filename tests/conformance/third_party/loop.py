"""A framework as small as they come: a model, and functions that it may call."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

_TYPES = {float: "number", str: "string"}


@dataclass(frozen=True)
class Agent:
    """An agent of the framework."""

    model: str
    prompt: str | None = None
    functions: tuple[Callable[..., Any], ...] = ()
    parameters: dict[str, Any] = field(default_factory=dict)
    """Of its model calls."""

    def tools(self) -> list[dict[str, Any]]:
        """The functions as chat completions takes them."""
        return [{"type": "function", "function": _schema(function)} for function in self.functions]


def _schema(function: Callable[..., Any]) -> dict[str, Any]:
    parameters = inspect.signature(function).parameters
    properties = {name: {"type": _TYPES[parameter.annotation]} for name, parameter in parameters.items()}
    return {
        "name": function.__name__,
        "description": function.__doc__,
        "parameters": {"type": "object", "properties": properties, "required": list(properties)},
    }
