"""Which of a request's tools its model may call."""

from typing import Any

import pytest

from k8gentai.agents.adapters.base.parameters import permitted_tools
from k8gentai.agents.contract.turn import Turn

ADD = {"type": "function", "name": "add", "parameters": {"type": "object"}}
SHOUT = {"type": "function", "name": "shout"}
WIKI = {"type": "mcp", "server_label": "wiki", "server_url": "http://wiki"}


@pytest.mark.parametrize(
    ("choice", "permitted"),
    [
        (None, [ADD, SHOUT, WIKI]),
        ("required", [ADD, SHOUT, WIKI]),
        ("none", []),
        ({"type": "function", "name": "add"}, [ADD, SHOUT, WIKI]),
        ({"type": "allowed_tools", "tools": [{"type": "function", "name": "add"}]}, [ADD]),
        ({"type": "allowed_tools", "tools": [{"type": "mcp", "server_label": "wiki"}]}, [WIKI]),
        ({"type": "allowed_tools", "tools": [{"type": "function", "name": "fly"}]}, []),
    ],
)
def test_permitted_tools(choice: Any, permitted: list[dict[str, Any]]) -> None:
    parameters = {} if choice is None else {"tool_choice": choice}
    turn = Turn(id="resp_1", agent="math", input=[], tools=[ADD, SHOUT, WIKI], parameters=parameters)
    assert permitted_tools(turn) == permitted
