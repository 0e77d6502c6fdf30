"""The turns that all tests of this package look at."""

import httpx
import pytest

from tests.integration.open_responses.turns import MODEL, Scenario, Turns
from tests.scripted import Answer, Call
from tests.support.llama_stack import mcp_tool


@pytest.fixture(scope="session")
def turns(stack, model, mcp_server):
    """Turns of every kind on this host."""
    tools = {"tools": [mcp_tool(mcp_server)]}
    remote = Scenario(MODEL, (Answer(Call("add", {"a": 1, "b": 2})), Answer("Three.")), tools)
    with httpx.Client(base_url=stack.server.url, timeout=60) as http:
        yield Turns(http, model, {"tool of a server": remote})
