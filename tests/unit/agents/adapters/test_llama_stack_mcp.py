"""MCP tools in the Llama Stack adapter, against real servers: the tool boundary sees and runs each call."""

import asyncio
import socket
import threading
import uuid
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from k8gentai.agents.adapters.llama_stack.adapter import LlamaStackAdapter
from k8gentai.agents.adapters.llama_stack.loop import _no_tools
from k8gentai.agents.contract.events import ItemDone, ItemProgress, ItemStarted, MessageDone, ToolCall
from k8gentai.agents.contract.turn import RequestError, StepLimitReached
from k8gentai.agents.tools.mcp_sessions import McpServerError, McpUnauthorizedError
from tests.scripted import Answer, Call, Gate
from tests.support.llama_stack import Boundary, McpServer, boundary_of, context_for, mcp_tool, run, turn_of

# Llama Stack 0.7.3 uses mcp's older name.
pytestmark = pytest.mark.filterwarnings("ignore:Use `streamable_http_client`:DeprecationWarning")


@pytest.fixture(scope="module")
def calc():
    server = McpServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def other():
    server = McpServer(prefix="other_")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def refusing_server():
    """The URL of a server that answers 401."""

    class Refusing(BaseHTTPRequestHandler):
        def do_POST(self):
            self.send_error(401)

        do_GET = do_POST  # noqa: N815

    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/mcp"
        server.shutdown()
        thread.join()


@pytest.fixture
async def adapter():
    made = LlamaStackAdapter()
    yield made
    await made.aclose()


def kinds(events):
    return [event.type for event in events]


async def test_calls_are_known_then_run_once_through_the_boundary(model, calc, adapter):
    calls = Call("add", {"a": 1, "b": 2}, id="c1"), Call("add", {"a": 3, "b": 4}, id="c2")
    model.script("mcp", Answer(*calls), Answer("3 and 7."))
    calc.added.clear()
    context = context_for(model.base_url)
    events = await run(adapter, turn_of("[[mcp]]", tools=[mcp_tool(calc)]), context)

    assert boundary_of(context).calls == [("c1", "add", {"a": 1, "b": 2}), ("c2", "add", {"a": 3, "b": 4})]
    assert calc.added == [(1, 2), (3, 4)]
    assert kinds(events) == [
        "item.started",
        "item.progress",
        "item.progress",
        "item.done",
        "step.started",
        "tool.call",
        "tool.call",
        "step.completed",
        "step.started",
        "text.delta",
        "message.done",
        "step.completed",
    ]
    assert events[5] == ToolCall(
        call_id="c1", name="add", arguments='{"a": 1, "b": 2}', side="worker", server_label="calc"
    )
    # A call runs after its model step was taken whole.
    assert boundary_of(context).known == [8, 8]
    assert model.requests("mcp")[1].texts("tool") == ["sum=3", "sum=7"]


async def test_the_list_of_tools_is_an_item(model, calc, adapter):
    model.script("list", Answer("ok"))
    tools = [mcp_tool(calc, allowed_tools=["add"])]
    events = await run(adapter, turn_of("[[list]]", tools=tools), context_for(model.base_url))
    started, *progress, done = events[:4]
    assert started == ItemStarted(item={"type": "mcp_list_tools", "id": "i0", "server_label": "calc", "tools": []})
    assert progress == [
        ItemProgress(item_id="i0", event={"type": f"response.mcp_list_tools.{state}", "item_id": "i0"})
        for state in ("in_progress", "completed")
    ]
    assert isinstance(done, ItemDone)
    assert [tool["name"] for tool in done.item["tools"]] == ["add"]
    offered = model.requests("list")[0].body["tools"]
    assert [tool["function"]["name"] for tool in offered] == ["add"]


async def test_an_error_of_the_tool_is_shown_to_the_model(model, calc, adapter):
    broken = Call("add", "no json", id="c2")
    model.script("err", Answer(Call("fail", id="c1")), Answer(broken), Answer("It failed."))
    context = context_for(model.base_url)
    await run(adapter, turn_of("[[err]]", tools=[mcp_tool(calc)]), context)
    shown = model.requests("err")[2].texts("tool")
    assert "the tool broke" in shown[0]
    assert "not a JSON object: no json" in shown[1]
    assert boundary_of(context).calls[1] == ("c2", "add", {})


async def test_two_servers_and_a_client_tool_in_one_turn(model, calc, other, adapter):
    calls = Call("add", {"a": 1, "b": 1}), Call("other_add", {"a": 2, "b": 2}), Call("mine", id="c3")
    model.script("two", Answer(*calls))
    mine = {"type": "function", "name": "mine", "parameters": {}}
    tools = [mcp_tool(calc), mcp_tool(other, "second"), mine]
    context = context_for(model.base_url)
    events = await run(adapter, turn_of("[[two]]", tools=tools), context)
    called = [event for event in events if isinstance(event, ToolCall)]
    assert [(call.side, call.server_label) for call in called] == [
        ("worker", "calc"),
        ("worker", "second"),
        ("client", ""),
    ]
    assert len(boundary_of(context).calls) == 2


@pytest.mark.parametrize(
    ("asked", "approval"),
    [
        ("always", True),
        ("never", False),
        ({"always": ["add"]}, True),
        ({"never": ["add"]}, False),
        ({"never": ["other"]}, True),
    ],
)
async def test_the_boundary_asks_where_the_request_wants_approval(model, calc, adapter, asked, approval):
    key = f"approve-{uuid.uuid4().hex}"
    model.script(key, Answer(Call("add", {"a": 1, "b": 2}, id="c1")), Answer("3"))
    context = context_for(model.base_url)
    await run(adapter, turn_of(f"[[{key}]]", tools=[mcp_tool(calc, require_approval=asked)]), context)
    assert boundary_of(context).calls == [("c1", "add", {"a": 1, "b": 2})]
    assert boundary_of(context).approvals == [approval]


async def test_calls_over_the_limit_do_not_run(model, calc, adapter):
    calls = Call("add", {"a": 1, "b": 2}, id="c1"), Call("add", {"a": 3, "b": 4}, id="c2")
    model.script("limit", Answer(*calls), Answer("3"))
    context = context_for(model.base_url)
    turn = turn_of("[[limit]]", tools=[mcp_tool(calc)], parameters={"max_tool_calls": 1})
    events = await run(adapter, turn, context)
    assert [event.call_id for event in events if isinstance(event, ToolCall)] == ["c1"]
    assert len(boundary_of(context).calls) == 1
    assert boundary_of(context).exempted == ["c2"]
    assert events[-2] == MessageDone(message_id="m1", text="3")


async def test_the_step_limit(model, calc, adapter):
    call = Call("add", {"a": 1, "b": 2})
    model.script("steps", *[Answer(call)] * 10)
    turn = turn_of("[[steps]]", tools=[mcp_tool(calc)])
    with pytest.raises(StepLimitReached, match="3 steps"):
        await run(adapter, turn, context_for(model.base_url, max_steps=3))
    assert len(model.requests("steps")) == 3

    own = turn.model_copy(update={"parameters": {"max_infer_iters": 2}})
    events = await run(adapter, own, context_for(model.base_url, max_steps=3))
    assert (events[-1].type, events[-1].reason) == ("turn.incomplete", "max_iterations_exceeded")
    assert len(model.requests("steps")) == 5


async def test_a_server_that_is_away_is_named(model, adapter):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    tool = {"type": "mcp", "server_label": "gone", "server_url": f"http://127.0.0.1:{port}/mcp"}
    with pytest.raises(McpServerError, match=r"'gone': .*Connection refused"):
        await run(adapter, turn_of("hello", tools=[tool]), context_for(model.base_url))


async def test_a_server_that_does_not_know_the_caller_is_told_from_others(model, adapter, refusing_server):
    tool = {"type": "mcp", "server_label": "mine", "server_url": refusing_server}
    with pytest.raises(McpUnauthorizedError, match="'mine'"):
        await run(adapter, turn_of("hello", tools=[tool]), context_for(model.base_url))


async def test_what_the_boundary_raises_comes_out_as_it_is(model, calc, adapter):
    class Paused(Exception):  # noqa: N818
        pass

    class PausingBoundary(Boundary):
        async def call(self, call_id, name, arguments, run, *, approval=False, starts_work=False):
            raise Paused(call_id)

    model.script("pause", Answer(Call("add", {"a": 1, "b": 2}, id="c1")))
    context = context_for(model.base_url, tools=PausingBoundary())
    with pytest.raises(Paused, match="c1"):
        await run(adapter, turn_of("[[pause]]", tools=[mcp_tool(calc)]), context)


async def test_a_server_that_goes_away_is_an_error_the_model_sees(model, adapter):
    server = McpServer()
    server.start()
    gate = Gate()
    model.script("away", Answer("Let me see.", gate, Call("add", {"a": 1, "b": 2})), Answer("It is gone."))
    context = context_for(model.base_url)
    running = asyncio.create_task(run(adapter, turn_of("[[away]]", tools=[mcp_tool(server)]), context))
    await gate.reached()
    await asyncio.to_thread(server.stop)
    gate.open()
    events = await running
    assert events[-2] == MessageDone(message_id="m1", text="It is gone.")
    assert model.requests("away")[1].texts("tool") == ["the MCP server hung up"]


async def test_cancelling_does_not_wait_for_a_tool_and_leaves_nothing_behind(model, calc, adapter):
    model.script("slow", Answer(Call("wait")))
    turn = turn_of("[[slow]]", tools=[mcp_tool(calc)])
    running = asyncio.create_task(run(adapter, turn, context_for(model.base_url)))
    assert await asyncio.to_thread(calc.waiting.wait, 10)
    running.cancel()
    async with asyncio.timeout(1):
        with pytest.raises(asyncio.CancelledError):
            await running
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize(("name", "is_there"), [("add", True), ("ad", False)])
async def test_a_tool_choice_is_held_against_what_the_servers_list(model, calc, adapter, name, is_there):
    key = f"chosen-{name}"
    model.script(key, Answer(Call("add", {"a": 1, "b": 2})), Answer("3."))
    asked = {"tool_choice": {"type": "function", "name": name}}
    turn, context = turn_of(f"[[{key}]]", tools=[mcp_tool(calc)], parameters=asked), context_for(model.base_url)
    if is_there:
        await run(adapter, turn, context)
        assert len(model.requests(key)) == 2
        return
    with pytest.raises(RequestError, match=r"'tool_choice.name': there is no tool 'ad'; did you mean 'add'\?"):
        await run(adapter, turn, context)
    assert model.requests(key) == []


def test_an_error_of_a_server_shows_no_secret_of_its_address():
    words = "501 for url 'http://ada:hush@wiki/mcp?key=hush', see https://wiki/help?hush#hush"
    error = _no_tools("'wiki'", ValueError(words))
    assert str(error) == (
        "no tools from the MCP server 'wiki': 501 for url 'http://wiki/mcp', see https://wiki/help"
    )
