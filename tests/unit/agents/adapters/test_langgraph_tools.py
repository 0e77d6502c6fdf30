"""The tools of LangGraph agents: each runs through the turn's boundary, once, and its failure is the model's."""

import asyncio
import base64
import threading
from dataclasses import dataclass
from typing import Annotated, Literal
from uuid import uuid4

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import ToolCallLimitMiddleware, after_model, wrap_tool_call
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage, ToolMessage
from langchain_core.tools import BaseTool, InjectedToolArg, InjectedToolCallId, tool
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.prebuilt import InjectedState, ToolNode, ToolRuntime, create_react_agent, tools_condition
from langgraph.types import Command, Send, interrupt
from pydantic import BaseModel

from k8gentai.agents.adapters.base.kept_results import is_same
from k8gentai.agents.adapters.langgraph.given_messages import GivenMessages
from k8gentai.agents.adapters.langgraph.tool_results import recorded, remade, written
from k8gentai.agents.contract import events as ev
from k8gentai.agents.contract.events import ToolCall, ToolResult
from k8gentai.agents.contract.turn import Decision, ToolOutcome
from tests.scripted import Answer, Call
from tests.support.langgraph import Boundary, called, chat, context_of, loaded, of_type, run, texts, turn_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def fail() -> str:
    """Fail."""
    raise RuntimeError("out of paper")


def answers(request) -> dict[str, str]:
    """What the model was told its calls came to, by call id."""
    return {m["tool_call_id"]: m["content"] for m in request.messages if m["role"] == "tool"}


async def test_parallel_tools_run_at_the_same_time_and_answer_by_id(model):
    met = asyncio.Barrier(2)

    async def meet(name: str) -> str:
        """Wait for the other."""
        await met.wait()
        return f"{name} met"

    calls = [Call("meet", {"name": "Ada"}, id="c1"), Call("meet", {"name": "Bob"}, id="c2")]
    model.script("meet", Answer(*calls), Answer("Both met."))
    boundary = Boundary()
    events = await run(create_agent(chat(model), tools=[meet]), turn_of("[[meet]]"), context_of(boundary))
    assert [e.call_id for e in of_type(events, ev.ToolCall)] == ["c1", "c2"]
    assert boundary.outcomes == {"c1": ToolOutcome("Ada met"), "c2": ToolOutcome("Bob met")}
    assert not of_type(events, ev.ToolResult), "the boundary tells the results"
    assert answers(model.requests("meet")[1]) == {"c1": "Ada met", "c2": "Bob met"}


async def test_a_tool_that_raises_is_an_error_the_model_sees(model):
    calls = [Call("fail", id="c1"), Call("add", {"a": 1, "b": 1}, id="c2")]
    model.script("fail", Answer(*calls), Answer("It failed."))
    boundary = Boundary()
    agent = create_agent(chat(model), tools=[fail, add])
    assert texts(await run(agent, turn_of("[[fail]]"), context_of(boundary))) == ["It failed."]
    assert boundary.outcomes == {"c1": ToolOutcome("out of paper", is_error=True), "c2": ToolOutcome("2")}
    assert answers(model.requests("fail")[1]) == {"c1": "out of paper", "c2": "2"}


async def test_a_tool_that_exits_does_not_take_the_worker_along(model):
    def leave() -> str:
        """Exit."""
        raise SystemExit(3)

    model.script("leave", Answer(Call("leave", id="c1")), Answer("Still here."))
    boundary = Boundary()
    agent = create_agent(chat(model), tools=[leave])
    assert texts(await run(agent, turn_of("[[leave]]"), context_of(boundary))) == ["Still here."]
    assert boundary.outcomes["c1"] == ToolOutcome("the tool called sys.exit(3)", is_error=True)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (Call("nothing", id="c1"), "nothing is not a valid tool"),
        (Call("add", {"a": "one"}, id="c1"), "Error invoking tool 'add'"),
    ],
)
async def test_a_call_that_cannot_be_run_is_an_error_the_model_sees(model, call, says):
    model.script(f"bad-{call.name}", Answer(call), Answer("Sorry."))
    boundary = Boundary()
    agent = create_agent(chat(model), tools=[add])
    assert texts(await run(agent, turn_of(f"[[bad-{call.name}]]"), context_of(boundary))) == ["Sorry."]
    assert boundary.outcomes["c1"].is_error
    assert says in boundary.outcomes["c1"].output
    assert says in answers(model.requests(f"bad-{call.name}")[1])["c1"]


async def test_a_call_whose_arguments_are_no_json_comes_to_the_boundary_which_refuses_it(model):
    model.script("broken", Answer(Call("add", "a=1", id="c1")), Answer("Sorry."))
    boundary = Boundary()
    boundary.recorded["c1"] = ToolOutcome("not a JSON object", is_error=True)
    events = await run(create_agent(chat(model), tools=[add]), turn_of("[[broken]]"), context_of(boundary))
    assert of_type(events, ev.ToolCall) == [ToolCall(call_id="c1", name="add", arguments="a=1")]
    assert boundary.arguments == {"c1": {}}
    assert answers(model.requests("broken")[1]) == {"c1": "not a JSON object"}


async def test_a_recorded_result_is_taken_without_running_the_tool(model):
    model.script("known", Answer(Call("fail", id="c1")), Answer("Good."))
    boundary = Boundary()
    boundary.recorded["c1"] = ToolOutcome("as before")
    await run(create_agent(chat(model), tools=[fail]), turn_of("[[known]]"), context_of(boundary))
    assert answers(model.requests("known")[1]) == {"c1": "as before"}


async def test_sync_tools_run_in_a_thread(model):
    def where() -> str:
        """Say the thread."""
        return str(threading.get_ident())

    model.script("thread", Answer(Call("where", id="c1")), Answer("There."))
    boundary = Boundary()
    await run(create_agent(chat(model), tools=[where]), turn_of("[[thread]]"), context_of(boundary))
    assert boundary.outcomes["c1"].output != str(threading.get_ident())


async def test_commands_and_artifacts_reach_the_graph(model):
    @tool
    def rename(name: str, call_id: Annotated[str, InjectedToolCallId]) -> Command:
        """Change the state."""
        return Command(update={"name": name, "messages": [ToolMessage("renamed", tool_call_id=call_id)]})

    @tool(response_format="content_and_artifact")
    def draw() -> tuple[str, dict]:
        """Draw something."""
        return "a picture", {"pixels": 4}

    class State(MessagesState):
        name: str

    seen = {}

    async def ask(state: State) -> dict:
        return {"messages": [await chat(model).bind_tools([rename, draw]).ainvoke(state["messages"])]}

    def look(state: State) -> dict:
        (drawn,) = (each for each in state["messages"][-1:] if isinstance(each, ToolMessage))
        seen.update(name=state["name"], artifact=drawn.artifact)
        return {}

    graph = StateGraph(State).add_node(ask).add_node("tools", ToolNode([rename, draw])).add_node(look)
    graph.add_edge(START, "ask").add_edge("ask", "tools").add_edge("tools", "look").add_edge("look", END)
    model.script("command", Answer(Call("rename", {"name": "Eve"}, id="c1"), Call("draw", id="c2")))
    boundary = Boundary()
    await run(graph, turn_of("[[command]]"), context_of(boundary))
    assert seen == {"name": "Eve", "artifact": {"pixels": 4}}
    outputs = {call_id: outcome.output for call_id, outcome in boundary.outcomes.items()}
    assert outputs == {"c1": "renamed", "c2": "a picture"}
    # From the record alone, without running a tool, the graph comes to the same state.
    seen.clear()
    model.script("command-again", Answer(Call("rename", {"name": "Bob"}, id="c1"), Call("draw", id="c2")))
    again = Boundary()
    again.recorded = boundary.outcomes
    await run(graph, turn_of("[[command-again]]"), context_of(again))
    assert seen == {"name": "Eve", "artifact": {"pixels": 4}}


async def test_what_cannot_be_read_back_safely_is_not_kept():
    class Own:
        pass

    assert recorded(Command(update={"thing": Own()}), NOTHING) == ""
    assert recorded(ToolMessage("text", tool_call_id="c1"), NOTHING) == ""


def hooked(model, tools, **hooks) -> CompiledStateGraph:
    """A graph whose tool node has hooks."""

    async def ask(state: MessagesState) -> dict:
        return {"messages": [await chat(model).bind_tools(tools).ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState).add_node(ask).add_node("tools", ToolNode(tools, **hooks))
    return (
        graph.add_edge(START, "ask")
        .add_conditional_edges("ask", tools_condition)
        .add_edge("tools", "ask")
        .compile()
    )


def other(request, **args):
    """The same request with other arguments."""
    return request.override(tool_call={**request.tool_call, "args": args})


async def hook_async(request, execute):
    return await execute(other(request, a=5, b=5))


def hook_sync(request, execute):
    return execute(other(request, a=5, b=5))


async def hook_in_place(request, execute):
    request.tool_call["args"].update(a=5, b=5)
    return await execute(request)


async def hook_by_hand(request, execute):
    return ToolMessage(await request.tool.ainvoke({"a": 5, "b": 5}), tool_call_id=request.tool_call["id"])


async def hook_of_the_call(request, execute):
    return await request.tool.ainvoke({**request.tool_call, "args": {"a": 5, "b": 5}, "type": "tool_call"})


@pytest.mark.parametrize("ruled", [False, True])
@pytest.mark.parametrize("hook", [hook_async, hook_sync, hook_in_place, hook_by_hand, hook_of_the_call])
async def test_what_a_hook_changes_is_a_call_of_its_own(model, hook, ruled):
    """A person is asked about what runs, and what the call itself came to is shown beside it."""
    graph = hooked(model, [add], **{"wrap_tool_call" if hook is hook_sync else "awrap_tool_call": hook})
    agent = loaded(graph, tools=[{"name": "add", "approval": "required"}] if ruled else [])
    boundary, denying = Boundary(), Boundary()
    for one in (boundary, denying):
        key = uuid4().hex
        model.script(key, Answer(Call("add", {"a": 1, "b": 1}, id="c1")), Answer("Ten."))
        assert texts(await run(agent, turn_of(f"[[{key}]]"), context_of(one))) == ["Ten."]
        own, call = one.outcomes
        assert call == "c1"
        assert one.names[own] == "add"
        assert one.arguments == {"c1": {"a": 1, "b": 1}, own: {"a": 5, "b": 5}}
        denying.recorded[own] = ToolOutcome("a person did not approve this call", is_error=True)
    assert {outcome.output for outcome in boundary.outcomes.values()} == {"10"}
    assert "did not approve" in denying.outcomes["c1"].output
    assert "did not approve" in answers(model.requests(key)[1])["c1"]


@pytest.mark.parametrize("by_hand", [False, True])
async def test_each_run_that_a_hook_makes_of_a_tool_is_a_call(model, by_hand):
    async def hook(request, execute):
        for args in ({"a": 1, "b": 1}, {"a": 1, "b": 1}, {"a": 2, "b": 2}, {"a": 3, "b": 3}):
            if by_hand:
                last = ToolMessage(await request.tool.ainvoke(args), tool_call_id=request.tool_call["id"])
            else:
                last = await execute(other(request, **args))
        return last

    agent = loaded(hooked(model, [add], awrap_tool_call=hook))
    calls = [Call("add", {"a": 1, "b": 1}, id="c1"), Call("add", {"a": 2, "b": 2}, id="c2")]
    key = uuid4().hex
    model.script(key, Answer(*calls), Answer("Done."))
    boundary = Boundary()
    await run(agent, turn_of(f"[[{key}]]"), context_of(boundary))
    assert boundary.arguments["c1"] == {"a": 1, "b": 1}
    assert boundary.arguments["c2"] == {"a": 2, "b": 2}
    # The first of each call's runs is its own where it has the call's arguments.
    of_first, of_second = [1, 2, 3], [1, 1, 3]
    assert sorted(args["a"] for args in boundary.arguments.values()) == sorted([1, 2, *of_first, *of_second])


@pytest.mark.parametrize("hook", ["none", "async", "sync"])
async def test_what_langgraph_puts_in_or_reads_otherwise_is_no_change(model, hook):
    """Neither what it injects, nor defaults, nor what it makes of the model's types, nor what a model forges."""

    @tool
    def note(
        text: str,
        times: int,
        call_id: Annotated[str, InjectedToolCallId],
        messages: Annotated[list, InjectedState("messages")],
        state: Annotated[dict, InjectedState],
        runtime: ToolRuntime,
        owner: Annotated[str, InjectedToolArg] = "nobody",
        mark: str = "!",
    ) -> str:
        """Note something."""
        assert runtime.tool_call_id == call_id
        assert len(messages) == len(state["messages"])
        return f"{owner}: {text * times}{mark}"

    async def pass_on(request, execute):
        return await execute(other(request, **request.tool_call["args"]))

    def pass_on_sync(request, execute):
        return execute(other(request, **request.tool_call["args"]))

    hooks = {"none": {}, "async": {"awrap_tool_call": pass_on}, "sync": {"wrap_tool_call": pass_on_sync}}[hook]
    agent = loaded(hooked(model, [note], **hooks))
    key = uuid4().hex
    arguments = {"text": "a", "times": "2", "owner": "the model", "state": {"messages": []}}
    model.script(key, Answer(Call("note", arguments, id="c1")), Answer("Noted."))
    boundary = Boundary()
    await run(agent, turn_of(f"[[{key}]]"), context_of(boundary))
    assert boundary.outcomes == {"c1": ToolOutcome("nobody: aa!")}


async def test_middleware_that_tries_again_is_one_call_of_the_boundary(model):
    tries = []

    @wrap_tool_call
    async def again(request, handler):
        try:
            return await handler(request)
        except RuntimeError:
            return await handler(request)

    async def flaky() -> str:
        """Work the second time."""
        tries.append(1)
        if len(tries) == 1:
            raise RuntimeError("not yet")
        return "now"

    model.script("flaky", Answer(Call("flaky", id="c1")), Answer("Done."))
    boundary = Boundary()
    agent = create_agent(chat(model), tools=[flaky], middleware=[again])
    await run(agent, turn_of("[[flaky]]"), context_of(boundary))
    assert boundary.outcomes == {"c1": ToolOutcome("now")}
    assert len(tries) == 2


@pytest.mark.parametrize("way", ["async", "sync"])
async def test_a_tool_node_that_a_nodes_own_code_calls_is_found(model, way):
    node = ToolNode([add])

    async def act(state: MessagesState) -> dict:
        return await node.ainvoke(state)

    def act_sync(state: MessagesState) -> dict:
        return node.invoke(state)

    async def ask(state: MessagesState) -> dict:
        return {"messages": [await chat(model).bind_tools([add]).ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState).add_node(ask).add_node("act", act if way == "async" else act_sync)
    graph.add_edge(START, "ask").add_edge("ask", "act").add_edge("act", END)
    model.script(f"own-{way}", Answer(Call("add", {"a": 3, "b": 4}, id="c1")))
    boundary = Boundary()
    events = await run(graph, turn_of(f"[[own-{way}]]"), context_of(boundary))
    assert boundary.outcomes == {"c1": ToolOutcome("7")}
    assert not of_type(events, ev.ToolResult)


async def test_a_node_that_runs_tools_by_itself_has_its_results_told(model):
    async def ask(state: MessagesState) -> dict:
        return {"messages": [await chat(model).bind_tools([add]).ainvoke(state["messages"])]}

    def act(state: MessagesState) -> dict:
        call = called(state)[0]
        return {"messages": [ToolMessage(str(add(**call["args"])), tool_call_id=call["id"])]}

    graph = StateGraph(MessagesState).add_node(ask).add_node(act)
    graph.add_edge(START, "ask").add_edge("ask", "act").add_edge("act", END)
    model.script("by-itself", Answer(Call("add", {"a": 3, "b": 4}, id="c1")))
    events = await run(graph, turn_of("[[by-itself]]"))
    assert of_type(events, ev.ToolResult) == [ToolResult(call_id="c1", output="7")]


async def test_an_agent_used_as_a_tool_has_its_own_tools_in_the_boundary(model):
    inner = create_agent(chat(model), tools=[add])

    @tool
    async def mathematician(question: str) -> str:
        """Ask someone who can add."""
        return (await inner.ainvoke({"messages": [HumanMessage(question)]}))["messages"][-1].text

    model.script("outer", Answer(Call("mathematician", {"question": "[[inner]]"}, id="c1")), Answer("Five."))
    model.script("inner", Answer(Call("add", {"a": 2, "b": 3}, id="c2")), Answer("It is 5."))
    boundary = Boundary()
    agent = create_agent(chat(model), tools=[mathematician])
    events = await run(agent, turn_of("[[outer]]"), context_of(boundary))
    assert boundary.outcomes == {"c1": ToolOutcome("It is 5."), "c2": ToolOutcome("5")}
    # What the inner agent says is the tool's result.
    assert texts(events) == ["Five."]


async def test_calls_that_nobody_runs_are_published_without_a_result():
    def route(state: MessagesState) -> dict:
        return {"messages": [AIMessage("", tool_calls=[{"name": "Route", "args": {"to": "end"}, "id": "c1"}])]}

    graph = StateGraph(MessagesState).add_node(route).add_edge(START, "route").add_edge("route", END)
    assert await run(graph, turn_of("Where to?")) == [
        ToolCall(call_id="c1", name="Route", arguments='{"to": "end"}'),
    ]


async def test_an_interrupt_is_not_a_result(model):
    def ask_first() -> str:
        """Ask a person."""
        return interrupt("May I?")

    model.script("interrupt", Answer(Call("ask_first", id="c1")), Answer("Never."))
    boundary = Boundary()
    agent = create_agent(chat(model), tools=[ask_first])
    running = asyncio.create_task(run(agent, turn_of("[[interrupt]]"), context_of(boundary)))
    await boundary.was_asked.wait()
    running.cancel()
    assert boundary.outcomes == {}
    ((question, *asked),) = boundary.asked
    assert asked == ["interrupt", '"May I?"']
    model.script("interrupted", Answer(Call("ask_first", id="c1")), Answer("Thank you."))
    boundary.decisions[question] = Decision(approve=True, reason="You may.")
    await run(agent, turn_of("[[interrupted]]"), context_of(boundary))
    assert boundary.outcomes == {"c1": ToolOutcome("You may.")}


async def test_calls_that_a_middleware_refuses_are_known_to_have_run_no_tool(model):
    calls = [Call("add", {"a": 1, "b": 1}, id="c1"), Call("add", {"a": 2, "b": 2}, id="c2")]
    model.script("refused", Answer(*calls), Answer("One only."))
    boundary = Boundary()
    agent = create_agent(chat(model), tools=[add], middleware=[ToolCallLimitMiddleware(run_limit=1)])
    await run(agent, turn_of("[[refused]]"), context_of(boundary))
    assert list(boundary.outcomes) == ["c1"]
    assert boundary.exempted == ["c2"]


async def test_an_error_that_a_node_of_ones_own_makes_is_no_refusal(model):
    """The node may have run the tool."""
    model.script("erring", Answer(Call("pay", {}, id="c1")), Answer("Paid."))
    bound = chat(model).bind_tools([add])

    async def think(state: MessagesState) -> dict:
        return {"messages": [await bound.ainvoke(state["messages"])]}

    def act(state: MessagesState) -> dict:
        calls = called(state)
        return {"messages": [ToolMessage("paid", tool_call_id=call["id"], status="error") for call in calls]}

    graph = (
        StateGraph(MessagesState).add_node(think).add_node(act).add_edge(START, "think").add_edge("act", "think")
    )
    graph.add_conditional_edges("think", lambda state: "act" if called(state) else END)
    boundary = Boundary()
    await run(graph, turn_of("[[erring]]"), context_of(boundary))
    assert boundary.exempted == []


@pytest.mark.filterwarnings("ignore:create_react_agent")
async def test_what_a_hook_after_the_model_refuses_runs_no_tool(model):
    def refuse(state: MessagesState) -> dict:
        calls = called(state)
        return {"messages": [ToolMessage("Not now.", tool_call_id=call["id"], status="error") for call in calls]}

    model.script("hooked", Answer(Call("add", {"a": 1, "b": 1}, id="c1")), Answer("Not now, then."))
    boundary = Boundary()
    agent = create_react_agent(chat(model), [add], post_model_hook=refuse)
    await run(agent, turn_of("[[hooked]]"), context_of(boundary))
    assert (boundary.outcomes, boundary.exempted) == ({}, ["c1"])


@after_model(can_jump_to=["end"])
def withdraw(state, runtime):
    return {"messages": [AIMessage("I will not.", id=state["messages"][-1].id)], "jump_to": "end"}


@after_model(can_jump_to=["end"])
def take_out(state, runtime):
    return {"messages": [RemoveMessage(state["messages"][-1].id), AIMessage("I will not.")], "jump_to": "end"}


@pytest.mark.filterwarnings("ignore:create_react_agent")
@pytest.mark.parametrize(
    "build",
    [
        lambda chat: create_agent(chat, [add], middleware=[withdraw]),
        lambda chat: create_agent(chat, [add], middleware=[take_out]),
        lambda chat: create_react_agent(chat, [add]).with_config(recursion_limit=2),
    ],
    ids=["replaced", "taken out", "at the limit"],
)
async def test_no_tool_runs_for_a_call_that_a_graph_withdraws(model, build):
    key = uuid4().hex
    model.script(key, Answer(Call("add", {"a": 1, "b": 1}, id="c1")))
    boundary = Boundary()
    await run(build(chat(model)), turn_of(f"[[{key}]]"), context_of(boundary))
    assert (boundary.outcomes, boundary.exempted) == ({}, ["c1"])


async def test_a_call_whose_message_no_conversation_had_is_not_known_to_be_withdrawn(model):
    """Its code may have run the function by itself."""
    model.script("inside", Answer(Call("add", {"a": 1, "b": 1}, id="c1")))

    async def act(state: MessagesState) -> dict:
        asked = await chat(model).bind_tools([add]).ainvoke(state["messages"])
        return {"messages": [AIMessage(f"That is {add(**asked.tool_calls[0]['args'])}.")]}

    boundary = Boundary()
    await run(
        StateGraph(MessagesState).add_node(act).add_edge(START, "act"),
        turn_of("[[inside]]"),
        context_of(boundary),
    )
    assert boundary.exempted == []


@pytest.mark.parametrize(
    ("decision", "named", "exempted"),
    [
        (Decision(approve=True), (), []),
        (Decision(approve=False), (), ["c1"]),
        (Decision(approve=True, reason="Less, please."), (), ["c1"]),
        (Decision(approve=False), ("add",), ["c1"]),
        (Decision(approve=True, reason="Less, please."), ("add",), ["c1"]),
        (Decision(approve=True), ("add",), []),
    ],
)
async def test_a_node_that_asks_a_person_may_answer_a_call_with_what_they_said(model, decision, named, exempted):
    """LangGraph's documentation reviews calls so, before its tool node."""
    first, second = f"review{uuid4().hex}", f"reviewed{uuid4().hex}"
    for key in (first, second):
        model.script(key, Answer(Call("add", {"a": 1, "b": 1}, id="c1")), Answer("As you like."))
    bound = chat(model).bind_tools([add])

    async def think(state: MessagesState) -> dict:
        return {"messages": [await bound.ainvoke(state["messages"])]}

    def review(state: MessagesState) -> Command[Literal["tools", "think"]]:
        said = interrupt("Is this right?")
        if said is True:
            return Command(goto="tools")
        call_id = called(state)[0]["id"]
        return Command(goto="think", update={"messages": [ToolMessage(str(said), tool_call_id=call_id)]})

    graph = StateGraph(MessagesState).add_node(think).add_node(review).add_node("tools", ToolNode([add]))
    graph.add_edge(START, "think").add_edge("tools", "think")
    graph.add_conditional_edges("think", lambda state: "review" if called(state) else END)
    boundary = Boundary()
    agent = loaded(graph, tools=[{"name": name} for name in named])
    asking = asyncio.create_task(run(agent, turn_of(f"[[{first}]]"), context_of(boundary)))
    asked = asyncio.create_task(boundary.was_asked.wait())
    await asyncio.wait({asking, asked}, return_when=asyncio.FIRST_COMPLETED)
    asking.cancel()
    await asyncio.wait({asking})
    ((question, *_),) = boundary.asked
    boundary.decisions[question] = decision
    await run(agent, turn_of(f"[[{second}]]"), context_of(boundary))
    assert boundary.exempted == exempted


async def test_a_call_that_code_makes_again_under_its_id_is_made_again():
    seen = []

    def look(job: int) -> str:
        """See how far a job is."""
        seen.append(job)
        return "done" if len(seen) == 3 else "running"

    looking = ToolNode([look])

    def ask(state: MessagesState) -> dict[str, list[AIMessage]]:
        # As LangGraph's own guides make a call by hand.
        return {"messages": [AIMessage("", tool_calls=[{"name": "look", "args": {"job": 1}, "id": "abc123"}])]}

    graph = StateGraph(MessagesState).add_node(ask).add_node("look", looking).add_edge(START, "ask")
    graph.add_edge("ask", "look")
    graph.add_conditional_edges("look", lambda state: END if state["messages"][-1].content == "done" else "ask")
    boundary = Boundary()
    events = await run(graph.compile(), turn_of("Wait for job 1."), context_of(boundary))
    assert seen == [1, 1, 1]
    assert [outcome.output for outcome in boundary.outcomes.values()] == ["running", "running", "done"]
    assert texts(events) == ["done"]


@pytest.mark.parametrize(
    ("called", "changed", "run_as"),
    [
        # The only call of the tool is the one meant.
        ([{"a": 1, "b": 1}], lambda args: {**args, "a": 10}, {"c0": {"a": 10, "b": 1}}),
        # Several are told apart by what the model wrote.
        (
            [{"a": 1}, {"a": 2}],
            lambda args: {**args, "b": 7},
            {"c0": {"a": 1, "b": 7}, "c1": {"a": 2, "b": 7}},
        ),
        # Where that is changed, each is a call of its own: it could be any.
        (
            [{"a": 1, "b": 0}, {"a": 2, "b": 0}],
            lambda args: {**args, "a": 10 * args["a"]},
            {"": {"a": 10, "b": 0}, "+": {"a": 20, "b": 0}},
        ),
    ],
)
async def test_arguments_that_code_changes_are_those_of_the_call(model, called, changed, run_as):
    adding = tool(add)

    async def act(state: MessagesState) -> dict:
        said = await chat(model).bind_tools([adding]).ainvoke(state["messages"])
        results = [
            ToolMessage(adding.invoke(changed(call["args"])), tool_call_id=call["id"])
            for call in reversed(said.tool_calls)
        ]
        return {"messages": [said, *results]}

    key = f"changed-{len(run_as)}-{'c0' in run_as}"
    model.script(key, Answer(*(Call("add", args, id=f"c{number}") for number, args in enumerate(called))))
    graph = StateGraph(MessagesState).add_node(act).add_edge(START, "act").add_edge("act", END)
    boundary = Boundary()
    events = await run(graph.compile(), turn_of(f"[[{key}]]"), context_of(boundary))
    if "c0" in run_as:
        assert boundary.arguments == run_as
        return
    assert sorted(boundary.arguments.values(), key=str) == sorted(run_as.values(), key=str)
    assert not {"c0", "c1"} & boundary.arguments.keys()
    # No call of the model's is left to have run past the boundary; each has the result that the model is told.
    assert sorted(boundary.exempted) == ["c0", "c1"]
    assert {(result.call_id, result.output) for result in of_type(events, ev.ToolResult)} == {
        ("c0", "10"),
        ("c1", "20"),
    }


NOTHING = GivenMessages()

KEPT = [
    "plain",
    {"total": 5},
    {"tool_message": 1, "tool_message_artifact": 2},
    ToolMessage("text", tool_call_id="c1", status="error"),
    ToolMessage("found", tool_call_id="c1", artifact=[Document("a page", metadata={"number": 3})]),
    ToolMessage([{"type": "text", "text": "found"}], tool_call_id="c1", response_metadata={"hits": {1, 2}}),
    Command(update={"messages": [ToolMessage("found", tool_call_id="c1", artifact=[Document("a page")])]}),
    Command(goto=[Send("next", {"found": 1})]),
    [Command(update={"found": 1}, graph=Command.PARENT), ToolMessage("found", tool_call_id="c1")],
]


@pytest.mark.parametrize("result", KEPT)
async def test_what_a_tool_returned_is_of_its_type_again(result):
    raw = written(result, NOTHING)
    assert raw is not None
    assert is_same(remade(raw, NOTHING), result)


@pytest.mark.parametrize(
    "result",
    [
        object(),
        (1, 2),
        ValueError("x"),
        ToolMessage("found", tool_call_id="c1", artifact=(1, 2)),
        Command(update={"messages": [ToolMessage("found", tool_call_id="c1", artifact=ValueError("x"))]}),
    ],
)
async def test_what_would_come_back_as_something_else_is_not_kept(result):
    assert written(result, NOTHING) is None


@pytest.mark.parametrize("result", KEPT)
async def test_a_worker_that_reads_records_as_the_serializer_does_gets_the_same(result):
    """In a rolling update, workers of an earlier version do."""
    raw = written(result, NOTHING)
    assert raw is not None
    kind, _, data = raw.partition(":")
    reader = JsonPlusSerializer(allowed_msgpack_modules=None)
    assert is_same(reader.loads_typed((kind, base64.b64decode(data))), result)


async def test_a_message_that_an_earlier_version_kept_apart_from_its_artifact_is_read():
    message = ToolMessage("found", tool_call_id="c1")
    kind, data = JsonPlusSerializer().dumps_typed({"tool_message": message, "tool_message_artifact": [1]})
    again = remade(f"{kind}:{base64.b64encode(data).decode()}", NOTHING)
    assert is_same(again, ToolMessage("found", tool_call_id="c1", artifact=[1]))


async def test_what_no_reader_makes_the_same_again_is_recorded_as_far_as_it_can_be():
    message = ToolMessage("found", tool_call_id="c1", artifact=(1, 2))
    assert remade(recorded(message, NOTHING), NOTHING).artifact == [1, 2]


@dataclass
class Written:
    """A state that is a dataclass."""

    messages: list


class Modelled(BaseModel):
    """A state that is a model."""

    messages: list


@pytest.mark.parametrize("state", [list, lambda said: {"messages": said}, Written, lambda s: Modelled(messages=s)])
@pytest.mark.parametrize(
    "made",
    [
        lambda said, done: Command(update={"messages": [*said, done]}, graph=Command.PARENT),
        lambda said, done: Command(goto=[Send("next", {"messages": [*said, done]})]),
        lambda said, done: [done, Command(update={"messages": [RemoveMessage(id=said[0].id), said[1]]})],
        lambda said, done: Command(update={"messages": [{"role": "user", "content": "Hi", "id": said[0].id}]}),
        lambda said, done: Command(update={"messages": [{"type": "human", "content": "Hi", "id": said[0].id}]}),
        lambda said, done: Command(update=[("messages", [*said, done]), ("asked", 2)]),
    ],
    ids=["handoff", "send", "removed", "dict", "dumped", "pairs"],
)
async def test_messages_that_a_tool_was_given_are_those_of_the_graph_again(state, made):
    """Their ids are others when the turn is run again: what has another id is another message to the graph."""
    done = ToolMessage("done", tool_call_id="c1", id="own")

    def said(attempt: str) -> list:
        return [HumanMessage("Hi", id=f"{attempt}-0"), AIMessage("Yes?", id=f"{attempt}-1")]

    raw = written(made(said("first"), done), GivenMessages(state(said("first"))))
    assert raw is not None
    assert "first-" not in str(base64.b64decode(raw.partition(":")[2]))
    again = remade(raw, GivenMessages(state(said("second"))))
    assert is_same(again, made(said("second"), done))


async def test_a_tool_that_hands_over_all_that_was_said_does_so_again(model):
    """Two of them: the second is given what the first one added, under an id that the graph made up."""

    def hand_over(name: str) -> BaseTool:
        @tool(name)
        def transfer(
            state: Annotated[dict, InjectedState], call_id: Annotated[str, InjectedToolCallId]
        ) -> Command:
            """Hand over."""
            done = ToolMessage("done", tool_call_id=call_id)
            return Command(goto=name, graph=Command.PARENT, update={"messages": [*state["messages"], done]})

        return transfer

    team = StateGraph(MessagesState)
    team.add_node("one", create_agent(chat(model), [hand_over("two")]), destinations=("two",))
    team.add_node("two", create_agent(chat(model), [hand_over("three")]), destinations=("three",))
    team.add_node("three", create_agent(chat(model), []))
    team.add_edge(START, "one")
    graph = team.compile()
    once = Answer(Call("two", id="c1")), Answer(Call("three", id="c2")), Answer("Here.")
    model.script("over", *once, *once)
    boundary, again = Boundary(), Boundary()
    await run(graph, turn_of("[[over]]"), context_of(boundary))
    again.recorded = boundary.outcomes
    await run(graph, turn_of("[[over]]"), context_of(again))
    requests = [request.messages for request in model.requests("over")]
    assert [message["role"] for message in requests[2]] == ["user", "assistant", "tool", "assistant", "tool"]
    assert requests[3:] == requests[:3]
