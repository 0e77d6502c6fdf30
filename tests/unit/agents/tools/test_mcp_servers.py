"""MCP servers of definitions, real ones: a program and an address."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import httpx
import pytest
from mcp.server.fastmcp import Context

from k8gentai.agents.contract.idempotency import CallKey, current_call_key
from k8gentai.agents.contract.turn import ToolFailedError
from k8gentai.agents.resources.agent import AgentDefinition
from k8gentai.agents.tools.mcp_servers import McpServers
from k8gentai.agents.tools.mcp_sessions import McpServerError
from tests.support.llama_stack import McpServer

PROGRAM = Path(__file__).parents[3] / "support" / "mcp_program.py"


def secret(context: Context) -> str:
    """What the header says."""
    return context.request_context.request.headers.get("x-secret", "nothing")


@pytest.fixture(scope="module")
def address():
    server = McpServer("", secret)
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def servers():
    made = McpServers()
    yield made
    await made.close()


def program(*args, **fields):
    return {"name": "program", "mcp": {"command": sys.executable, "args": [str(PROGRAM), *args], **fields}}


def at(url, **fields):
    return {"name": "address", "mcp": {"url": url, **fields}}


def definition(*tools):
    return AgentDefinition.model_validate(
        {
            "apiVersion": "kagent.dev/v1alpha1",
            "kind": "Agent",
            "metadata": {"name": "tried"},
            "spec": {"framework": "langgraph", "model": {"name": "m"}, "tools": list(tools)},
        }
    )


async def call(servers, entry, tool, /, **arguments):
    """What one call of one turn comes to."""
    async with servers.tools(definition(entry)) as found:
        return await {each.name: each for each in found}[tool].call(arguments)


async def names(servers, *entries):
    async with servers.tools(definition(*entries)) as found:
        return [tool.name for tool in found]


async def test_a_program_is_shared_and_started_again_when_it_died(servers):
    first = await call(servers, program(), "pid")
    assert await call(servers, program(), "pid") == first
    os.kill(int(first), signal.SIGKILL)
    second = await call(servers, program(), "pid")
    assert second != first
    await servers.close()
    with pytest.raises(ProcessLookupError):
        os.kill(int(second), 0)


async def test_a_program_that_ends_in_a_call_costs_that_call_only(servers):
    async with servers.tools(definition(program())) as found:
        tools = {tool.name: tool for tool in found}
        with pytest.raises(ConnectionError, match="hung up"):
            await tools["end"].call({})
        assert int(await tools["pid"].call({}))


async def test_a_program_sees_its_own_variables_and_not_the_workers(servers, monkeypatch):
    monkeypatch.setenv("WORKER_SECRET", "hush")
    entry = program(env={"OWN": "mine"})
    assert await call(servers, entry, "variable", name="OWN") == "mine"
    assert await call(servers, entry, "variable", name="WORKER_SECRET") == "not set"


async def test_a_call_carries_its_idempotency_key(servers):
    token = current_call_key.set(CallKey("resp_1:call_1"))
    try:
        assert await call(servers, program(), "key") == "resp_1:call_1"
    finally:
        current_call_key.reset(token)


async def test_an_address_gets_the_headers_and_each_turn_a_session(servers, address):
    entry = at(address.url, headers={"X-Secret": "hush"})
    assert await asyncio.gather(*(call(servers, entry, "secret") for _ in range(3))) == ["hush"] * 3


async def test_a_tools_description_and_schema_are_the_servers(servers, address):
    async with servers.tools(definition(at(address.url, tools=["add"]))) as (tool,):
        assert tool.parameters["required"] == ["a", "b"]
        assert tool.policy.timeout_seconds == 60
        assert await tool.call({"a": 1, "b": 2}) == "sum=3"


async def test_some_tools_of_a_server_in_the_order_of_the_definition(servers, address):
    assert await names(servers, at(address.url, tools=["fail", "add"])) == ["fail", "add"]


async def test_what_is_said_of_one_tool_goes_before_what_is_said_of_the_server(servers):
    of_one = {"name": "pid", "approval": "required"}
    entry = {**program(), "retry": "never", "timeoutSeconds": 5}
    async with servers.tools(definition(entry, of_one)) as found:
        policies = {tool.name: tool.policy for tool in found}
    assert (policies["pid"].approval, policies["pid"].retry) == ("required", "idempotent")
    assert (policies["key"].approval, policies["key"].retry, policies["key"].timeout_seconds) == (None, "never", 5)


async def test_what_a_tool_says_went_wrong_is_for_the_model(servers, address):
    with pytest.raises(ToolFailedError, match="the tool broke"):
        await call(servers, at(address.url), "fail")


async def test_a_server_that_goes_away_within_a_turn_costs_the_calls_only(servers):
    server = McpServer()
    server.start()
    async with servers.tools(definition(at(server.url, tools=["add"]))) as (tool,):
        server.stop()
        for _ in range(2):
            with pytest.raises((ConnectionError, httpx.TransportError)):
                await tool.call({"a": 1, "b": 2})


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        (at("http://127.0.0.1:9/mcp?key=hush"), "http://127.0.0.1:9/mcp cannot be reached (ConnectError)"),
        ({"name": "program", "mcp": {"command": "no-such-program"}}, "'no-such-program' cannot be started"),
        (program(__file__), "ended before it named its tools"),
        (program(tools=["gone"]), "has no tool 'gone'. It has: end, key, note, pid, variable"),
        (
            {"name": "program", "mcp": {"command": "sleep", "args": ["60"], "startSeconds": 0.2}},
            "'sleep' did not answer within 0.2 s",
        ),
    ],
)
async def test_a_server_that_is_away_is_named_with_its_tool_and_the_cause(servers, entry, says):
    with pytest.raises(McpServerError) as raised:
        await names(servers, entry)
    assert str(raised.value).startswith(f"tool {entry['name']!r}: the MCP server ")
    assert says in str(raised.value)
    assert "hush" not in str(raised.value)


async def test_an_address_that_refuses_is_told_by_its_status(servers, address):
    with pytest.raises(McpServerError, match=r"Session terminated|answered 404"):
        await names(servers, at(f"{address.url}/nowhere"))
