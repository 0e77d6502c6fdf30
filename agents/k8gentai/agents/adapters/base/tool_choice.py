"""Applies a request's ``tool_choice`` (the tools that a model has to call, or may) to agents without code of their
own.

Frameworks send it with every model call, with none, or with whatever they choose: what a model is sent is set on
the way to it, whichever framework asks.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from k8gentai.agents.contract.turn import RequestError, Turn
from k8gentai.agents.text.suggestion import did_you_mean

WITHHELD = "the request's tool_choice is 'none', which allows no tool call: this one was not made"
"""The result of a call that the model made all the same."""


def chat_tool_choice(asked: str | dict[str, Any] | None) -> str | dict[str, Any] | None:
    """Return a Responses API tool choice as chat completions takes it."""
    if not isinstance(asked, dict):
        return asked
    if asked.get("type") == "allowed_tools":
        # The model sees no other tools: permitted_tools.
        return asked.get("mode")
    return {"type": "function", "function": {"name": asked["name"]}} if asked.get("type") == "function" else asked


@dataclass(frozen=True)
class ToolChoice:
    """The ``tool_choice`` of a request.

    Attributes:
        asked: as chat completions takes it: ``none``, ``required``, or the function to call.
        tools: the names of the agent's tools and the request's. A framework may offer others, by which a model
            answers, and which are none to be called for.
    """

    asked: str | dict[str, Any]
    tools: frozenset[str]

    @property
    def withholds(self) -> bool:
        """Whether no tool may be called."""
        return self.asked == "none"

    def check(self) -> None:
        """See that the function which the request wants called is there.

        Raises:
            RequestError: it is not.
        """
        if isinstance(self.asked, dict) and self.asked.get("type") == "function":
            check_named(_name(self.asked), self.tools)

    def held(self, body: dict[str, Any], *, called: bool) -> dict[str, Any]:
        """Set what a model call offers and wants called.

        Args:
            body: the call, as chat completions takes it.
            called: the model has made a call in this turn, so that it may do as it likes from here on.
        """
        if self.withholds:
            return {name: value for name, value in body.items() if name not in _ABOUT_TOOLS}
        if called:
            return {**body, "tool_choice": "auto"} if body.get("tool_choice") == self.asked else body
        offered = [tool for tool in body.get("tools") or () if _name(tool) in self.tools]
        return {**body, "tools": offered, "tool_choice": self.asked} if offered else body


_ABOUT_TOOLS = frozenset({"tools", "tool_choice", "parallel_tool_calls"})
"""Fields of model calls that endpoints take none of without the first."""


def tool_choice(turn: Turn, tools: Iterable[str]) -> ToolChoice | None:
    """Return what a turn's request says of the tools to call; None where it leaves that to the model.

    Args:
        turn: the turn.
        tools: the names of the agent's own tools.
    """
    asked = chat_tool_choice(turn.parameters.get("tool_choice"))
    if asked in (None, "auto"):
        return None
    functions = (str(tool.get("name")) for tool in turn.tools if tool.get("type") == "function")
    return ToolChoice(asked, frozenset((*tools, *functions)))


def check_named(name: str, tools: Iterable[str]) -> None:
    """See that a tool which a request wants called is there, once the names of all are known: an MCP server tells
    its tools while a turn runs.

    Args:
        name: the tool's.
        tools: the names of those that there are.

    Raises:
        RequestError: it is not.
    """
    known = frozenset(tools)
    if name not in known:
        raise RequestError(f"'tool_choice.name': there is no tool {name!r}{did_you_mean(name, known)}")


def _name(tool: Any) -> str:
    function = tool.get("function") if isinstance(tool, dict) else None
    return str(function.get("name")) if isinstance(function, dict) else ""
