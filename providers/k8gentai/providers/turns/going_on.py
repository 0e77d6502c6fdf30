"""Has a turn that answers what a suspended one asked go on as that turn, with no more than it asked."""

import json
from dataclasses import dataclass, field
from typing import Any

from k8gentai.agents.adapters.base.parameters import asks_nothing
from k8gentai.agents.contract.turn import Turn
from k8gentai.providers.errors import invalid
from k8gentai.providers.requests.request import RESPONSES, CreateRequest
from k8gentai.workers.queue.origin import Origin
from k8gentai.workers.queue.record import Replay

_CREDENTIALS = ("authorization", "headers")
"""The fields of an MCP server's tool that may be others where a turn goes on."""


@dataclass(frozen=True)
class GoingOn:
    """The suspended turn that a request goes on with, where it answers what that asked; empty where it does
    not."""

    replay: Replay | None = None
    origin: Origin = RESPONSES
    conversation: str | None = None
    turn: Turn | None = None
    """The turn as its agent first saw it: what it asks holds to its end."""
    echo: dict[str, Any] = field(default_factory=dict)
    """The parameters of that turn that a response repeats."""

    @property
    def held(self) -> dict[str, Any]:
        """Those of them that hold, whatever the answer says that asks for nothing."""
        return {name: value for name, value in self.echo.items() if not asks_nothing(name, value)}


def check_same(request: CreateRequest, turn: Turn) -> None:
    """See that a request which answers a question asks nothing that the turn, which goes on, does not.

    Raises:
        ApiError: it does; naming the parameter (400).
    """
    given = {**request.parameters, **({"instructions": request.instructions} if request.instructions else {})}
    known = {**turn.parameters, "instructions": turn.instructions}
    for name, value in given.items():
        if _plain(known.get(name)) != (asked := _plain(value)) and not asks_nothing(name, asked):
            message = f"'{name}': the turn goes on as its first request asked: leave it out, or repeat it."
            raise invalid(message, name, "unsupported_parameter")
    tools = {_without_credentials(tool) for tool in turn.tools}
    for index, tool in enumerate(request.tools):
        if _without_credentials(tool) not in tools:
            message = f"'tools[{index}]': the turn goes on with the tools of its first request."
            raise invalid(message, f"tools[{index}]", "unsupported_parameter")


def with_credentials(turn: Turn, tools: list[dict[str, Any]]) -> Turn:
    """Return a turn with the credentials that a request brings for MCP servers of the turn's: those that it had
    may have expired while it waited."""
    brought = {_without_credentials(tool): _credentials(tool) for tool in tools if tool.get("type") == "mcp"}
    return turn.model_copy(
        update={"tools": [{**tool, **brought.get(_without_credentials(tool), {})} for tool in turn.tools]}
    )


def _credentials(tool: dict[str, Any]) -> dict[str, Any]:
    """Return those that come with a tool: a response shows it without."""
    return {name: tool[name] for name in _CREDENTIALS if tool.get(name) is not None}


def _without_credentials(tool: dict[str, Any]) -> str:
    """Return what tells a tool from others, as JSON: all but its credentials."""
    asked = {name: value for name, value in _plain(tool).items() if name not in _CREDENTIALS}
    return json.dumps(asked, sort_keys=True)


def _plain(value: Any) -> Any:
    """Return a value of JSON without the fields that are null: they ask as much as those that are left out."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items() if part is not None}
    return [_plain(part) for part in value] if isinstance(value, list) else value
