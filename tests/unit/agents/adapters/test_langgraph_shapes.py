"""However a LangGraph agent runs a tool, the call passes the boundary once, and is answered from the record."""

import asyncio
import functools
import operator
from collections.abc import Callable
from typing import Annotated, Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware, wrap_tool_call
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import BaseTool, BaseToolkit, InjectedToolCallId, StructuredTool, tool
from langchain_openai import ChatOpenAI
from langgraph.func import task
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import InjectedState, ToolNode, ToolRuntime, create_react_agent, tools_condition
from langgraph.types import Command, Send
from pydantic import BaseModel

from k8gentai.agents.contract import events as ev
from k8gentai.agents.contract.turn import ToolOutcome
from tests.scripted import Answer, Call
from tests.support.langgraph import (
    Boundary,
    called,
    chat,
    context_of,
    definition,
    loaded,
    of_type,
    run,
    texts,
    turn_of,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAID: list[float] = []


@pytest.fixture(autouse=True)
def no_payments():
    PAID.clear()


function_tool: Any = tool
"""LangChain's decorator, whose types do not say that a tool made of a function has it as ``func``."""


@function_tool
def pay(amount: float) -> str:
    """Pay."""
    PAID.append(amount)
    return f"paid {amount:g}"


@tool("pay")
async def pay_async(amount: float) -> str:
    """Pay."""
    PAID.append(amount)
    return f"paid {amount:g}"


class Arguments(BaseModel):
    amount: float


class Payment(BaseTool):
    """A tool that is a class."""

    name: str = "pay"
    description: str = "Pay."
    args_schema: type[BaseModel] = Arguments

    def _run(self, amount: float) -> str:
        return pay.func(amount)


class AsyncPayment(Payment):
    async def _arun(self, amount: float) -> str:
        return pay.func(amount)


class Toolkit(BaseToolkit):
    def get_tools(self) -> list[BaseTool]:
        return [Payment()]


@tool("pay")
def pay_of_state(amount: float, state: Annotated[dict, InjectedState]) -> str:
    """Pay."""
    assert state["messages"]
    return pay.func(amount)


@tool("pay")
def pay_and_command(amount: float, call_id: Annotated[str, InjectedToolCallId]) -> Command:
    """Pay."""
    return Command(update={"messages": [ToolMessage(pay.func(amount), tool_call_id=call_id)]})


@tool("pay")
async def pay_at_runtime(amount: float, runtime: ToolRuntime) -> str:
    """Pay."""
    assert runtime.tool_call_id
    return pay.func(amount)


@tool("pay")
def pay_and_go_on(amount: float, call_id: Annotated[str, InjectedToolCallId]) -> Command:
    """Pay, and name the node that follows."""
    paid = ToolMessage(pay.func(amount), tool_call_id=call_id)
    return Command(goto="llm", update={"messages": [paid]})


class OwnToolNode(ToolNode):
    """A node that has its own way of running one call."""

    def _run_one(self, *given: Any, **more: Any) -> Any:
        return super()._run_one(*given, **more)

    async def _arun_one(self, *given: Any, **more: Any) -> Any:
        return await super()._arun_one(*given, **more)


class Equipping(AgentMiddleware):
    """Brings a tool."""

    tools = (pay,)


class OwnWay(AgentMiddleware):
    """Stands around each call."""

    async def awrap_tool_call(self, request: Any, handler: Any) -> Any:
        return await handler(request)


class Invoking(ToolNode):
    """A tool node that invokes its tools by itself."""

    async def _arun_one(self, call: Any, *rest: Any) -> Any:
        result = await self.tools_by_name[call["name"]].ainvoke(call["args"])
        return ToolMessage(result, name=call["name"], tool_call_id=call["id"])


class Calling(ToolNode):
    """A tool node that calls the functions of its tools."""

    async def _arun_one(self, call: Any, *rest: Any) -> Any:
        called: Any = self.tools_by_name[call["name"]]
        result = called.func(**call["args"])
        return ToolMessage(result, name=call["name"], tool_call_id=call["id"])


class CallingAndBlocking(ToolNode):
    def _run_one(self, call: Any, *rest: Any) -> Any:
        called: Any = self.tools_by_name[call["name"]]
        result = called.func(**call["args"])
        return ToolMessage(result, name=call["name"], tool_call_id=call["id"])


class CallingTwice(Calling):
    """A tool node whose class is a subclass of one of the agent's own."""

    async def _arun_one(self, call: Any, *rest: Any) -> Any:
        return await super()._arun_one(call, *rest)


Node = Callable[[MessagesState], Any]


def looping(chat: ChatOpenAI, tools: Any, offered: Any = pay) -> StateGraph:
    """A model, and a node for its tools."""

    async def llm(state: MessagesState) -> dict:
        return {"messages": [await chat.bind_tools([offered]).ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState).add_node(llm).add_node("tools", tools).add_edge(START, "llm")
    return graph.add_conditional_edges("llm", tools_condition, ["tools", END]).add_edge("tools", "llm")


def going_on(chat: ChatOpenAI) -> StateGraph:
    """A model, and a node for its tools, which say what follows it."""

    async def llm(state: MessagesState) -> dict:
        return {"messages": [await chat.bind_tools([pay]).ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState).add_node(llm).add_node("tools", ToolNode([pay_and_go_on]))
    return graph.add_edge(START, "llm").add_conditional_edges("llm", tools_condition, ["tools", END])


def by_hand(run_tool: Callable[[Any], Any]) -> Node:
    def node(state: MessagesState) -> dict:
        calls = called(state)
        return {"messages": [ToolMessage(run_tool(call), tool_call_id=call["id"]) for call in calls]}

    return node


def by_hand_async(run_tool: Callable[[Any], Any]) -> Node:
    async def node(state: MessagesState) -> dict:
        calls = called(state)
        results = await asyncio.gather(*(run_tool(call) for call in calls))
        made = zip(results, calls, strict=True)
        return {"messages": [ToolMessage(result, tool_call_id=call["id"]) for result, call in made]}

    return node


def around(node: Any) -> StateGraph:
    return StateGraph(MessagesState).add_node("outer", node).add_edge(START, "outer")


def made_in_node(chat: ChatOpenAI) -> StateGraph:
    async def node(state: MessagesState) -> dict:
        return await create_agent(chat, [pay]).ainvoke({"messages": [*state["messages"]]})

    return around(node)


def kept_in_a_table(chat: ChatOpenAI) -> StateGraph:
    agents = {"sub": create_agent(chat, [pay])}

    async def node(state: MessagesState) -> dict:
        return await agents["sub"].ainvoke({"messages": [*state["messages"]]})

    return around(node)


def kept_in_a_class(chat: ChatOpenAI) -> StateGraph:
    class Team:
        def __init__(self) -> None:
            self.sub = create_agent(chat, [pay])

        async def node(self, state: MessagesState) -> dict:
            return await self.sub.ainvoke({"messages": [*state["messages"]]})

    return around(Team().node)


def bound_by_partial(chat: ChatOpenAI) -> StateGraph:
    async def node(state: MessagesState, agent: Any) -> dict:
        return await agent.ainvoke({"messages": state["messages"]})

    return around(functools.partial(node, agent=create_agent(chat, [pay])))


def blocking_in_async_node(chat: ChatOpenAI) -> StateGraph:
    agent = create_agent(chat, [pay])

    async def node(state: MessagesState) -> dict:
        return agent.invoke({"messages": [*state["messages"]]})

    return around(node)


def blocking_in_sync_node(chat: ChatOpenAI) -> StateGraph:
    agent = create_agent(chat, [pay])

    def node(state: MessagesState) -> dict:
        return agent.invoke({"messages": [*state["messages"]]})

    return around(node)


def fanned_out(chat: ChatOpenAI) -> StateGraph:
    class State(MessagesState):
        calls: Annotated[list, operator.add]

    async def llm(state: State) -> dict:
        return {"messages": [await chat.bind_tools([pay]).ainvoke(state["messages"])]}

    def one(state: Any) -> dict:
        return {"messages": [ToolMessage(pay.invoke(state["args"]), tool_call_id=state["id"])]}

    def route(state: State) -> Any:
        return [Send("one", call) for call in called(state)] or END

    graph = StateGraph(State).add_node(llm).add_node(one).add_edge(START, "llm").add_edge("one", "llm")
    return graph.add_conditional_edges("llm", route, ["one", END])


def tasks(chat: ChatOpenAI) -> StateGraph:
    @task
    async def pay_in_task(call: dict) -> ToolMessage:
        return await pay.ainvoke(call)

    async def node(state: MessagesState) -> dict:
        return {"messages": await asyncio.gather(*(pay_in_task(c) for c in called(state)))}

    return looping(chat, node)


def subgraph(chat: ChatOpenAI) -> StateGraph:
    return around(create_agent(chat, [pay]))


def made_per_request(chat: ChatOpenAI) -> StateGraph:
    def node(state: MessagesState) -> dict:
        fresh = StructuredTool.from_function(pay.func, name="pay")
        return by_hand(lambda call: fresh.invoke(call["args"]))(state)

    return looping(chat, node)


def asked_of_a_lambda(chat: ChatOpenAI) -> StateGraph:
    as_tool = RunnableLambda(lambda given: pay.func(given["amount"])).as_tool(
        args_schema=Arguments, name="pay", description="Pay."
    )
    return looping(chat, ToolNode([as_tool]), as_tool)


async def in_thread(call: dict) -> str:
    return await asyncio.to_thread(pay.invoke, call["args"])


SHAPES: dict[str, Callable[[ChatOpenAI], Any]] = {
    "create_agent": lambda chat: create_agent(chat, [pay]),
    "create_agent, async tool": lambda chat: create_agent(chat, [pay_async]),
    "create_agent, toolkit": lambda chat: create_agent(chat, Toolkit().get_tools()),
    "create_agent, class": lambda chat: create_agent(chat, [AsyncPayment()]),
    "create_agent, state injected": lambda chat: create_agent(chat, [pay_of_state]),
    "create_agent, command": lambda chat: create_agent(chat, [pay_and_command]),
    "create_agent, runtime": lambda chat: create_agent(chat, [pay_at_runtime]),
    "create_agent, middleware": lambda chat: create_agent(chat, [pay], middleware=[OwnWay()]),
    "create_agent, tools of a middleware": lambda chat: create_agent(chat, [], middleware=[Equipping()]),
    "create_react_agent": lambda chat: create_react_agent(chat, [pay]),
    "create_react_agent, v1": lambda chat: create_react_agent(chat, [pay], version="v1"),
    "tool node": lambda chat: looping(chat, ToolNode([pay])),
    "tool node, subclass": lambda chat: looping(chat, OwnToolNode([pay])),
    "tool node, command": lambda chat: looping(chat, ToolNode([pay_and_command])),
    "tool node, called": lambda chat: looping(chat, lambda state: ToolNode([pay]).invoke(state)),
    "tool node, called in the loop": lambda chat: looping(chat, _called_node),
    "tool node, invoking": lambda chat: looping(chat, Invoking([pay])),
    "tool node, calling": lambda chat: looping(chat, Calling([pay])),
    "tool node, calling, called": lambda chat: looping(
        chat, lambda state: CallingAndBlocking([pay]).invoke(state)
    ),
    "tool node, subclass of a subclass": lambda chat: looping(chat, CallingTwice([pay])),
    "command that goes on": going_on,
    "by hand": lambda chat: looping(chat, by_hand(lambda call: pay.invoke(call["args"]))),
    "by hand, run": lambda chat: looping(chat, by_hand(lambda call: pay.run(call["args"]))),
    "by hand, read": lambda chat: looping(
        chat, by_hand(lambda call: pay.invoke(Arguments(**call["args"]).model_dump() | {"extra": 1}))
    ),
    "by hand, whole call": lambda chat: looping(chat, by_hand(lambda call: pay.invoke(call).content)),
    "by hand, class": lambda chat: looping(chat, by_hand(lambda call: Payment().invoke(call["args"]))),
    "by hand, async": lambda chat: looping(chat, by_hand_async(lambda call: pay.ainvoke(call["args"]))),
    "by hand, async tool": lambda chat: looping(chat, by_hand_async(lambda call: pay_async.ainvoke(call["args"]))),
    "by hand, arun": lambda chat: looping(chat, by_hand_async(lambda call: pay_async.arun(call["args"]))),
    "by hand, class, async": lambda chat: looping(
        chat, by_hand_async(lambda c: AsyncPayment().ainvoke(c["args"]))
    ),
    "by hand, in a thread": lambda chat: looping(chat, by_hand_async(in_thread)),
    "by hand, piped": lambda chat: looping(
        chat, by_hand(lambda c: (RunnableLambda(lambda a: a) | pay).invoke(c["args"]))
    ),
    "lambda": asked_of_a_lambda,
    "made per request": made_per_request,
    "agent made in a node": made_in_node,
    "agent in a table": kept_in_a_table,
    "agent in a class": kept_in_a_class,
    "agent by partial": bound_by_partial,
    "agent as subgraph": subgraph,
    "agent, blocking the loop": blocking_in_async_node,
    "agent, blocking a thread": blocking_in_sync_node,
    "fanned out": fanned_out,
    "functional API": tasks,
}


async def _called_node(state: MessagesState) -> Any:
    return ToolNode([pay]).invoke(state)


# Deprecated or not yet stable, and in use.
@pytest.mark.filterwarnings("ignore:create_react_agent", "ignore:This API is in beta")
@pytest.mark.parametrize("shape", SHAPES)
async def test_a_call_passes_the_boundary_once(model, shape):
    key = shape.replace(" ", "-").replace(",", "")
    calls = [Call("pay", {"amount": 7}, id="c1"), Call("pay", {"amount": 8}, id="c2")]
    model.script(key, Answer(*calls), Answer("Done."))
    boundary = Boundary()
    events = await run(SHAPES[shape](chat(model)), turn_of(f"[[{key}]]"), context_of(boundary))
    outputs = {call_id: outcome.output for call_id, outcome in boundary.outcomes.items()}
    assert outputs == {"c1": "paid 7", "c2": "paid 8"}
    assert sorted(PAID) == [7, 8]
    assert [event.call_id for event in of_type(events, ev.ToolCall)] == ["c1", "c2"]
    assert not of_type(events, ev.ToolResult), "the boundary publishes the results"
    assert texts(events) == ["Done."]
    told = {m["tool_call_id"]: m["content"] for m in model.requests(key)[1].messages if m["role"] == "tool"}
    # Run again, the tool is not.
    PAID.clear()
    model.script(f"{key}-again", Answer(*calls), Answer("Done."))
    again = Boundary()
    again.recorded = boundary.outcomes
    await run(SHAPES[shape](chat(model)), turn_of(f"[[{key}-again]]"), context_of(again))
    assert PAID == []
    again_told = model.requests(f"{key}-again")[1].messages
    assert {m["tool_call_id"]: m["content"] for m in again_told if m["role"] == "tool"} == told


async def test_a_result_that_is_the_answer_passes_the_boundary_once(model):
    direct = StructuredTool.from_function(pay.func, name="pay", return_direct=True)
    model.script("direct", Answer(Call("pay", {"amount": 7}, id="c1")))
    boundary = Boundary()
    events = await run(create_agent(chat(model), [direct]), turn_of("[[direct]]"), context_of(boundary))
    assert {call_id: outcome.output for call_id, outcome in boundary.outcomes.items()} == {"c1": "paid 7"}
    assert PAID == [7]
    assert len(model.requests("direct")) == 1
    assert texts(events) == ["paid 7"]


@tool
def look_up(name: str) -> dict:
    """Look somebody up."""
    PAID.append(1)
    return {"name": name, "limit": 5}


def preparing(state: MessagesState) -> dict:
    """Run a tool that no model asked for, twice."""
    found = [look_up.invoke({"name": "Ada"}), look_up.invoke({"name": "Ada"})]
    return {"messages": [AIMessage(f"Found {found[0]['limit'] + found[1]['limit']}.")]}


@pytest.mark.parametrize("named", [True, False])
async def test_a_tool_that_no_model_asked_for_passes_where_the_definition_speaks_of_it(named):
    agent = loaded(around(preparing))
    if named:
        spec = {"entrypoint": "agent_under_test:agent", "tools": [{"name": "look_up", "approval": "required"}]}
        agent = type(agent)(definition(**spec), agent.source)
    boundary = Boundary()
    assert texts(await run(agent, turn_of("Go."), context_of(boundary))) == ["Found 10."]
    assert len(boundary.outcomes) == (2 if named else 0)
    assert len(PAID) == 2
    again = Boundary()
    again.recorded = boundary.outcomes
    assert texts(await run(agent, turn_of("Go."), context_of(again))) == ["Found 10."]
    assert set(again.outcomes) == set(boundary.outcomes)
    assert len(PAID) == (2 if named else 4)


async def test_a_tool_that_a_tool_runs_is_a_call_of_its_own_where_the_definition_speaks_of_it(model):
    @tool
    def order(amount: float) -> str:
        """Order."""
        return f"ordered, {pay.invoke({'amount': amount})}"

    agent = loaded(create_agent(chat(model), [order]))
    spec = {"entrypoint": "agent_under_test:agent", "tools": [{"name": "pay", "approval": "required"}]}
    agent = type(agent)(definition(**spec), agent.source)
    model.script("order", Answer(Call("order", {"amount": 7}, id="c1")), Answer("Done."))
    boundary = Boundary()
    await run(agent, turn_of("[[order]]"), context_of(boundary))
    inner, outer = boundary.outcomes
    assert (outer, boundary.outcomes[outer].output) == ("c1", "ordered, paid 7")
    assert inner.startswith("call_")
    assert boundary.outcomes[inner] == ToolOutcome("paid 7")


async def test_errors_of_tools_by_hand_are_their_callers_and_so_again_from_the_record(model):
    @tool
    def refuse(amount: float) -> str:
        """Refuse."""
        PAID.append(amount)
        raise ValueError(f"no {amount:g}")

    def run_tool(call: dict) -> str:
        try:
            return refuse.invoke(call["args"])
        except ValueError as error:
            return f"caught: {error}"

    def build() -> StateGraph:
        return looping(chat(model), by_hand(run_tool), refuse)

    boundary, again = Boundary(), Boundary()
    for key, one in (("refuse", boundary), ("refuse-again", again)):
        model.script(key, Answer(Call("refuse", {"amount": 7}, id="c1")), Answer("Sorry."))
        await run(build(), turn_of(f"[[{key}]]"), context_of(one))
        assert model.requests(key)[1].texts("tool") == ["caught: no 7"]
        again.recorded = boundary.outcomes
    assert boundary.outcomes["c1"].is_error
    assert PAID == [7]


@pytest.mark.parametrize(
    "invoke",
    [lambda flaky, call: flaky.invoke(call["args"]), lambda flaky, call: flaky.invoke(call).content],
    ids=["arguments", "whole"],
)
async def test_a_second_try_by_hand_is_a_second_call(model, key, invoke):
    @tool
    def flaky(amount: float) -> str:
        """Work the second time."""
        PAID.append(amount)
        if len(PAID) == 1:
            raise ValueError("not yet")
        return "now"

    def run_tool(call: dict) -> str:
        try:
            return invoke(flaky, call)
        except ValueError:
            return invoke(flaky, call)

    boundary, again = Boundary(), Boundary()
    for name, one in ((key, boundary), (f"{key}-again", again)):
        model.script(name, Answer(Call("flaky", {"amount": 7}, id="c1")), Answer("Done."))
        await run(looping(chat(model), by_hand(run_tool), flaky), turn_of(f"[[{name}]]"), context_of(one))
        assert model.requests(name)[1].texts("tool") == ["now"]
        again.recorded = boundary.outcomes
    assert [outcome.is_error for outcome in boundary.outcomes.values()] == [True, False]
    assert list(again.outcomes) == list(boundary.outcomes)
    assert len(PAID) == 2


async def test_values_of_tools_by_hand_come_from_the_record_as_they_were(model):
    def run_tool(call: dict) -> str:
        return str(look_up.invoke(call["args"])["limit"])

    boundary, again = Boundary(), Boundary()
    for key, one in (("value", boundary), ("value-again", again)):
        model.script(key, Answer(Call("look_up", {"name": "Ada"}, id="c1")), Answer("Five."))
        await run(looping(chat(model), by_hand(run_tool), look_up), turn_of(f"[[{key}]]"), context_of(one))
        assert model.requests(key)[1].texts("tool") == ["5"]
        again.recorded = boundary.outcomes
    assert len(PAID) == 1


async def test_what_langgraph_puts_into_arguments_is_not_shown(model):
    boundary = Boundary()
    model.script("injected", Answer(Call("pay", {"amount": 7}, id="c1")), Answer("Done."))
    await run(create_agent(chat(model), [pay_of_state]), turn_of("[[injected]]"), context_of(boundary))
    assert boundary.arguments == {"c1": {"amount": 7}}


async def test_a_denial_by_hand_is_told_to_the_model(model):
    boundary = Boundary()
    boundary.recorded["c1"] = ToolOutcome("a person did not approve this call", is_error=True)
    model.script("denied", Answer(Call("pay", {"amount": 7}, id="c1")), Answer("Not paid."))
    graph = looping(chat(model), by_hand(lambda call: pay.invoke(call["args"])))
    assert texts(await run(graph, turn_of("[[denied]]"), context_of(boundary))) == ["Not paid."]
    assert model.requests("denied")[1].texts("tool") == ["a person did not approve this call"]
    assert PAID == []


async def test_a_denial_of_a_call_that_may_be_either_of_the_models_is_told_to_the_model(model):
    class Denying(Boundary):
        def wait(self, call_id, *call):
            self.recorded[call_id] = ToolOutcome("a person did not approve this call", is_error=True)
            return super().wait(call_id, *call)

    calls = (Call("pay", {"amount": amount}, id=f"c{amount}") for amount in (7, 8))
    model.script("either", Answer(*calls), Answer("Not paid."))
    graph = looping(chat(model), by_hand(lambda call: pay.invoke({"amount": call["args"]["amount"] / 10})))
    assert texts(await run(graph, turn_of("[[either]]"), context_of(Denying()))) == ["Not paid."]
    assert model.requests("either")[1].texts("tool") == ["a person did not approve this call"] * 2
    assert PAID == []


@pytest.mark.parametrize("written", ["no JSON", "[1]", '{"amount": 1'])
async def test_a_call_that_cannot_be_read_reaches_the_boundary_from_joined_chunks(model, written):
    """The boundary knows what the model wrote, and tells it."""

    async def ask(state: MessagesState) -> dict:
        whole: Any = None
        async for piece in chat(model).bind_tools([pay]).astream(state["messages"]):
            whole = piece if whole is None else whole + piece
        return {"messages": [whole]}

    key = f"joined-{len(written)}"
    model.script(key, Answer(Call("pay", written, id="c1")), Answer("Done."))
    graph = StateGraph(MessagesState).add_node("ask", ask).add_node("tools", ToolNode([pay]))
    graph.add_edge(START, "ask").add_conditional_edges("ask", tools_condition).add_edge("tools", "ask")
    boundary = Boundary()
    boundary.recorded["c1"] = ToolOutcome("the arguments are not a JSON object", is_error=True)
    events = await run(graph, turn_of(f"[[{key}]] Pay."), context_of(boundary))
    assert [(call.call_id, call.arguments) for call in of_type(events, ev.ToolCall)] == [("c1", written)]
    assert model.requests(key)[-1].texts("tool") == ["the arguments are not a JSON object"]
    assert (texts(events), PAID) == (["Done."], [])


async def test_a_tool_node_that_tries_again_makes_one_call(model):
    class Stubborn(ToolNode):
        async def _arun_one(self, call: Any, *rest: Any) -> Any:
            made: Any = await super()._arun_one(call, *rest)
            return made if made.status == "success" else await super()._arun_one(call, *rest)

    @tool
    def flaky(amount: float) -> str:
        """Work the second time."""
        PAID.append(amount)
        if len(PAID) == 1:
            raise ValueError("not yet")
        return "now"

    model.script("stubborn", Answer(Call("flaky", {"amount": 7}, id="c1")), Answer("Done."))
    boundary = Boundary()
    graph = looping(chat(model), Stubborn([flaky], handle_tool_errors=True), flaky)
    await run(graph, turn_of("[[stubborn]]"), context_of(boundary))
    assert boundary.outcomes == {"c1": ToolOutcome("now")}
    assert len(PAID) == 2


async def test_a_tool_in_place_of_another_is_a_call_of_its_own_where_the_definition_speaks_of_it(model):
    """Else code could have a person approve a harmless tool and run another."""

    @tool
    def estimate(amount: float) -> str:
        """Estimate."""
        return "nothing"

    @wrap_tool_call
    async def redirect(request: Any, handler: Any) -> Any:
        return await handler(request.override(tool=pay))

    agent = loaded(create_agent(chat(model), [estimate, pay], middleware=[redirect]))
    spec = {"entrypoint": "agent_under_test:agent", "tools": [{"name": "pay", "approval": "required"}]}
    agent = type(agent)(definition(**spec), agent.source)
    model.script("redirected", Answer(Call("estimate", {"amount": 7}, id="c1")), Answer("Done."))
    boundary = Boundary()
    await run(agent, turn_of("[[redirected]]"), context_of(boundary))
    assert boundary.names[next(iter(boundary.outcomes))] == "pay"
    assert boundary.outcomes["c1"].output == "paid 7"
    assert len(boundary.outcomes) == 2


async def test_what_a_middleware_answers_by_itself_is_the_calls_result(model):
    @wrap_tool_call
    async def answer_itself(request: Any, handler: Any) -> Any:
        return ToolMessage("from the cache", tool_call_id=request.tool_call["id"])

    model.script("cached", Answer(Call("pay", {"amount": 7}, id="c1")), Answer("Done."))
    boundary = Boundary()
    agent = create_agent(chat(model), [pay], middleware=[answer_itself])
    assert texts(await run(agent, turn_of("[[cached]]"), context_of(boundary))) == ["Done."]
    assert boundary.outcomes == {"c1": ToolOutcome("from the cache")}
    assert PAID == []


async def test_a_tool_that_a_middleware_runs_by_hand_is_one_call(model):
    @wrap_tool_call
    async def by_itself(request: Any, handler: Any) -> Any:
        paid = await request.tool.ainvoke(request.tool_call["args"])
        return ToolMessage(paid, tool_call_id=request.tool_call["id"])

    model.script("itself", Answer(Call("pay", {"amount": 7}, id="c1")), Answer("Done."))
    boundary = Boundary()
    agent = create_agent(chat(model), [pay], middleware=[by_itself])
    await run(agent, turn_of("[[itself]]"), context_of(boundary))
    assert boundary.outcomes == {"c1": ToolOutcome("paid 7")}
    assert PAID == [7]


async def test_a_tool_that_returns_directly_passes_the_boundary(model):
    @tool("pay", return_direct=True)
    def pay_directly(amount: float) -> str:
        """Pay."""
        return pay.func(amount)

    boundary, again = Boundary(), Boundary()
    for key, one in (("directly", boundary), ("directly-again", again)):
        model.script(key, Answer(Call("pay", {"amount": 7}, id="c1")))
        events = await run(create_agent(chat(model), [pay_directly]), turn_of(f"[[{key}]]"), context_of(one))
        assert texts(events) == ["paid 7"]
        again.recorded = boundary.outcomes
    assert boundary.outcomes == again.outcomes == {"c1": ToolOutcome("paid 7")}
    assert PAID == [7]


class Receipt(BaseModel):
    """A receipt."""

    amount: float


@pytest.mark.parametrize(
    ("strategy", "last"),
    [
        (ToolStrategy(Receipt), [Call("Receipt", {"amount": "x"}, id="r1")]),
        (ToolStrategy(Receipt), []),
        (ProviderStrategy(Receipt), None),
    ],
    ids=["tool, at the second try", "tool", "provider"],
)
async def test_a_structured_answer_is_no_call_and_its_tools_are(model, strategy, last):
    key = f"structured-{type(strategy).__name__}-{len(last or ())}"
    final = [Answer('{"amount": 7}')] if last is None else [Answer(c) for c in last]
    if last is not None:
        final.append(Answer(Call("Receipt", {"amount": 7}, id="r2")))
    model.script(key, Answer(Call("pay", {"amount": 7}, id="c1")), *final)
    boundary = Boundary()
    agent = create_agent(chat(model), [pay], response_format=strategy)
    events = await run(agent, turn_of(f"[[{key}]]"), context_of(boundary))
    assert Receipt.model_validate_json(texts(events)[-1]) == Receipt(amount=7)
    assert list(boundary.outcomes) == ["c1"]
    told = {m["tool_call_id"] for request in model.requests(key) for m in request.messages if m["role"] == "tool"}
    assert told <= {"c1", *boundary.exempted}


def _renamed(given: dict, node: ToolNode) -> dict:
    """The results of calls that a tool node makes under an id of code's own, under those of the model."""
    calls = given["messages"][-1].tool_calls
    made = [node.invoke([AIMessage("", tool_calls=[{**call, "id": "mine"}])])[0] for call in calls]
    return {"messages": [ToolMessage(m.content, tool_call_id=c["id"]) for m, c in zip(made, calls, strict=True)]}


def _renamed_with_the_message(given: dict, node: ToolNode) -> dict:
    message = AIMessage("", tool_calls=[{**given["messages"][-1].tool_calls[0], "id": "mine"}])
    (result,) = node.invoke([message])
    return {"messages": [ToolMessage(result.content, tool_call_id="c1"), message, result]}


def _renamed_by_hand(given: dict, node: ToolNode) -> dict:
    calls = given["messages"][-1].tool_calls
    made = [pay.invoke({**call, "id": "mine"}).content for call in calls]
    return {"messages": [ToolMessage(m, tool_call_id=c["id"]) for m, c in zip(made, calls, strict=True)]}


@pytest.mark.parametrize(
    ("code", "amounts"),
    [
        (_renamed, [7]),
        (_renamed, [7, 8]),
        (_renamed, [7, 7]),
        (_renamed_by_hand, [7, 8]),
        (_renamed_with_the_message, [7]),
    ],
)
async def test_a_models_call_that_code_makes_under_another_id_is_that_call(model, code, amounts):
    key = f"renamed-{code.__name__}-{'-'.join(map(str, amounts))}"
    ids = [f"c{number}" for number in range(1, len(amounts) + 1)]
    asked = [Call("pay", {"amount": amount}, id=each) for amount, each in zip(amounts, ids, strict=True)]
    model.script(key, Answer(*asked), Answer("Done."))
    boundary = Boundary()
    graph = looping(chat(model), lambda state: code(state, ToolNode([pay])))
    events = await run(graph, turn_of(f"[[{key}]] Pay."), context_of(boundary))
    assert amounts == PAID
    assert {each: outcome.output for each, outcome in boundary.outcomes.items()} == {
        each: f"paid {amount}" for each, amount in zip(ids, amounts, strict=True)
    }
    assert [call.call_id for call in of_type(events, ev.ToolCall)] == ids


async def test_a_call_that_the_state_has_beside_the_models_is_one_of_its_own(model):
    """Code puts a call under an id of its own in the place of the model's."""

    async def rename(state: MessagesState) -> dict:
        said: Any = state["messages"][-1]
        if not said.tool_calls:
            return {"messages": []}
        return {"messages": [AIMessage("", id=said.id, tool_calls=[{**said.tool_calls[0], "id": "mine"}])]}

    async def llm(state: MessagesState) -> dict:
        return {"messages": [await chat(model).bind_tools([pay]).ainvoke(state["messages"])]}

    model.script("put-in-place", Answer(Call("pay", {"amount": 7}, id="c1")), Answer("Done."))
    graph = StateGraph(MessagesState).add_node(llm).add_node(rename).add_node("tools", ToolNode([pay]))
    graph.add_edge(START, "llm").add_edge("llm", "rename").add_edge("tools", "llm")
    graph.add_conditional_edges("rename", tools_condition, ["tools", END])
    boundary = Boundary()
    await run(graph, turn_of("[[put-in-place]] Pay."), context_of(boundary))
    assert list(boundary.outcomes) == ["mine"]
    assert "c1" in boundary.exempted
