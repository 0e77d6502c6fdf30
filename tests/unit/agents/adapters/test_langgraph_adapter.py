"""The LangGraph adapter against a scripted model: what it streams, where it ends, what it refuses."""

import asyncio
import operator
import time
from collections.abc import Sequence
from functools import reduce
from typing import Any, cast

import pytest
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langchain_core.language_models import FakeMessagesListChatModel
from langchain_core.load import dumps, loads
from langchain_core.messages import AIMessage, AIMessageChunk, AnyMessage
from langchain_core.runnables import Runnable
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import NodeCancelledError
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import Send

from k8gentai.agents.adapters.langgraph.adapter import LangGraphAdapter
from k8gentai.agents.adapters.langgraph.content import text_and_reasoning
from k8gentai.agents.contract import events as ev
from k8gentai.agents.contract.context import AgentContext
from k8gentai.agents.contract.events import (
    MessageDone,
    ReasoningDelta,
    StepCompleted,
    StepStarted,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallStarted,
)
from k8gentai.agents.contract.turn import RequestError, StepLimitReached, TurnContext
from tests.scripted import FOREVER, HANG_UP, Answer, Call, Refuse
from tests.support.langgraph import (
    boundary_of,
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

# LangChain keeps its HTTP clients for the whole process, so all turns of a process share a loop, as in a worker.
pytestmark = pytest.mark.asyncio(loop_scope="module")

WEATHER = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def outputs(context: TurnContext) -> dict[str, str]:
    """Return what the boundary's calls came to, by their ids."""
    return {call_id: outcome.output for call_id, outcome in boundary_of(context).outcomes.items()}


def graph_of(*nodes, **edges) -> StateGraph:
    """A graph whose nodes follow each other."""
    graph = StateGraph(MessagesState)
    before = START
    for node in nodes:
        graph.add_node(node)
        graph.add_edge(before, node.__name__)
        before = node.__name__
    return graph.add_edge(before, END)


async def test_text_streams_within_one_step(model):
    model.script("text", Answer("Hel", "lo."))
    assert await run(create_agent(chat(model)), turn_of("[[text]]")) == [
        StepStarted(step_id="s1", kind="inference", name="model"),
        TextDelta(message_id="m1", delta="Hel"),
        TextDelta(message_id="m1", delta="lo."),
        MessageDone(message_id="m1", text="Hello."),
        StepCompleted(step_id="s1", kind="inference"),
    ]


async def test_a_tool_call_streams_with_its_arguments_as_written(model):
    call = Call("add", '{"a": 1,  "b": 2}', id="c1", pieces=2)
    model.script("tool", Answer("I add.", call), Answer("Three."))
    events = await run(create_agent(chat(model), tools=[add]), turn_of("[[tool]]"))
    first = events[: events.index(StepCompleted(step_id="s1", kind="inference"))]
    assert first[0].type == "step.started"
    assert ToolCallStarted(call_id="c1", name="add") in first
    assert "".join(e.delta for e in first if isinstance(e, ToolCallDelta)) == '{"a": 1,  "b": 2}'
    assert first[-2:] == [
        ToolCall(call_id="c1", name="add", arguments='{"a": 1,  "b": 2}'),
        MessageDone(message_id="m1", text="I add."),
    ]
    assert texts(events) == ["I add.", "Three."]
    assert model.requests("tool")[1].messages[-1] == {"role": "tool", "content": "3", "tool_call_id": "c1"}


async def test_history_input_and_instructions_reach_the_model(model):
    model.script("history", Answer("Ada."))
    history = [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "I am Ada."}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello, Ada."}]},
    ]
    agent = create_agent(chat(model), system_prompt="You know names.")
    await run(agent, turn_of("Who am I? [[history]]", history=history, instructions="Be brief."))
    assert [(m["role"], m["content"]) for m in model.requests("history")[0].messages] == [
        ("system", "You know names."),
        ("system", "Be brief."),
        ("user", "I am Ada."),
        ("assistant", "Hello, Ada."),
        ("user", "Who am I? [[history]]"),
    ]


@pytest.mark.parametrize("way", ["not streaming", "sync node", "stream in the node", "copied message"])
async def test_a_text_is_shown_once_however_the_node_calls_its_model(model, way):
    key = way.replace(" ", "-")
    model.script(key, Answer("Once ", "only."))
    llm = chat(model, **({"disable_streaming": True} if way == "not streaming" else {}))

    async def answer(state: MessagesState) -> dict:
        if way == "stream in the node":
            pieces = [piece async for piece in llm.astream(state["messages"])]
            return {"messages": [sum(pieces[1:], pieces[0])]}
        message = await llm.ainvoke(state["messages"])
        if way == "copied message":
            return {"messages": [AIMessage(message.content, name="me")]}
        return {"messages": [message]}

    def answer_sync(state: MessagesState) -> dict:
        return {"messages": [llm.invoke(state["messages"])]}

    events = await run(graph_of(answer_sync if way == "sync node" else answer), turn_of(f"[[{key}]]"))
    assert texts(events) == ["Once only."]
    assert len(of_type(events, ev.TextDelta)) == (1 if way == "not streaming" else 2)
    assert [e.type for e in events][0 :: len(events) - 1] == ["step.started", "step.completed"]


async def test_equal_answers_of_two_nodes_are_both_shown(model):
    model.script("equal", Answer("Yes."), Answer("Yes."))

    async def first(state: MessagesState) -> dict:
        return {"messages": [await chat(model).ainvoke(state["messages"])]}

    async def second(state: MessagesState) -> dict:
        message = await chat(model).ainvoke(state["messages"])
        return {"messages": [AIMessage(message.content)]}

    events = await run(graph_of(first, second), turn_of("[[equal]]"))
    assert texts(events) == ["Yes.", "Yes."]
    assert [e.name for e in of_type(events, ev.StepStarted)] == ["first", "second"]


async def test_a_node_may_answer_without_a_model():
    def answer(state: MessagesState) -> dict:
        return {"messages": [AIMessage("Forty-two.")]}

    events = await run(graph_of(answer), turn_of("What is it?"))
    assert events == [
        TextDelta(message_id="m1", delta="Forty-two."),
        MessageDone(message_id="m1", text="Forty-two."),
    ]


async def test_a_call_tagged_nostream_is_counted_and_not_shown(model):
    model.script("hidden", Answer("thinking"), Answer("Said."))

    async def think(state: MessagesState) -> dict:
        await chat(model).with_config(tags=["nostream"]).ainvoke(state["messages"])
        return {"messages": [await chat(model).ainvoke(state["messages"])]}

    events = await run(graph_of(think), turn_of("[[hidden]]"))
    assert texts(events) == ["Said."]
    assert len(of_type(events, ev.StepStarted)) == 2


async def test_a_subgraphs_steps_name_it_and_nothing_is_shown_twice(model):
    model.script("sub", Answer(Call("add", {"a": 2, "b": 2}, id="c1")), Answer("Four."), Answer("So: four."))
    inner = create_agent(chat(model), tools=[add])

    async def summary(state: MessagesState) -> dict:
        return {"messages": [await chat(model).ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState).add_node("research", inner).add_node(summary)
    graph.add_edge(START, "research").add_edge("research", "summary").add_edge("summary", END)
    boundary_context = context_of()
    events = await run(graph, turn_of("[[sub]]"), boundary_context)
    assert texts(events) == ["Four.", "So: four."]
    names = [e.name for e in of_type(events, ev.StepStarted)]
    assert names == ["research/model", "research/model", "summary"]
    assert boundary_of(boundary_context).outcomes["c1"].output == "4"


async def test_reasoning_is_told_apart_from_text():
    message = AIMessage(
        [{"type": "reasoning", "reasoning": "Let me see."}, {"type": "text", "text": "Yes."}], id="r1"
    )
    fake = FakeMessagesListChatModel(responses=[message])
    events = await run(create_agent(fake), turn_of("Is it?"))
    assert ReasoningDelta(message_id="m1", delta="Let me see.") in events
    assert MessageDone(message_id="m1", text="Yes.", reasoning="Let me see.") in events


async def test_the_step_limit_counts_model_calls(model):
    model.script("loop", *(Answer(Call("add", {"a": n, "b": n}, id=f"c{n}")) for n in range(9)))
    agent = loaded(create_agent(chat(model), tools=[add]))
    with pytest.raises(StepLimitReached) as caught:
        await run(agent, turn_of("[[loop]]"), context_of(max_steps=3))
    assert caught.value.steps == 3
    assert len(model.requests("loop")) == 3


async def test_the_step_limit_stops_a_thread_too(model):
    model.script("thread-loop", *(Answer("On.") for _ in range(9)))

    def on_and_on(state: MessagesState) -> dict:
        while True:
            chat(model).invoke(state["messages"])

    with pytest.raises(StepLimitReached):
        await run(graph_of(on_and_on), turn_of("[[thread-loop]]"), context_of(max_steps=2))
    assert len(model.requests("thread-loop")) == 2


async def test_a_graph_that_loops_without_a_model_is_ended_too():
    graph = StateGraph(MessagesState)
    graph.add_node("around", lambda state: {})
    graph.add_edge(START, "around").add_edge("around", "around")
    with pytest.raises(StepLimitReached):
        await run(graph, turn_of("go"), context_of(max_steps=2))


async def test_closing_hangs_up_on_the_model(model):
    model.script("forever", Answer("a", FOREVER))
    events = LangGraphAdapter().run(loaded(create_agent(chat(model))), turn_of("[[forever]]"), context_of())
    async for event in events:
        if event.type == "text.delta":
            break
    began = time.monotonic()
    await events.aclose()
    await model.requests("forever")[0].wait_closed()
    assert time.monotonic() - began < 1


async def test_cancelling_hangs_up_on_the_model(model):
    model.script("cancelled", Answer("a", FOREVER))
    task = asyncio.create_task(run(create_agent(chat(model)), turn_of("[[cancelled]]")))
    request = await model.request("cancelled")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await request.wait_closed()


async def test_turns_at_once_do_not_cross(model):
    for n in range(8):
        model.script(f"turn-{n}", Answer(Call("add", {"a": n, "b": 100}, id="same")), Answer(f"It is {n}."))
    agent = loaded(create_agent(chat(model), tools=[add]))
    contexts = [context_of() for _ in range(8)]
    runs = await asyncio.gather(*(run(agent, turn_of(f"[[turn-{n}]]"), contexts[n]) for n in range(8)))
    assert [texts(events) for events in runs] == [[f"It is {n}."] for n in range(8)]
    assert [boundary_of(c).outcomes["same"].output for c in contexts] == [str(n + 100) for n in range(8)]


async def test_what_the_model_or_the_agent_raises_ends_the_turn(model):
    model.script("refused", Refuse(500, "out of order"))
    with pytest.raises(Exception, match="out of order"):
        await run(create_agent(chat(model)), turn_of("[[refused]]"))

    def broken(state: MessagesState) -> dict:
        raise ZeroDivisionError("by zero")

    with pytest.raises(ZeroDivisionError):
        await run(graph_of(broken), turn_of("go"))


async def test_a_graph_that_cancels_itself_fails():
    async def cancelled(state: MessagesState) -> dict:
        raise asyncio.CancelledError

    with pytest.raises(NodeCancelledError):
        await run(graph_of(cancelled), turn_of("go"))


async def test_a_message_that_broke_off_is_closed_where_the_agent_goes_on(model):
    model.script("again", Answer("Half a", HANG_UP), Answer("Whole."))

    async def answer(state: MessagesState) -> dict | None:
        try:
            await chat(model).ainvoke(state["messages"])
        except Exception:  # noqa: BLE001 - whichever way the connection broke
            return {"messages": [await chat(model).ainvoke(state["messages"])]}
        return None

    events = await run(graph_of(answer), turn_of("[[again]]"))
    assert texts(events) == ["Half a", "Whole."]
    assert len(of_type(events, ev.StepCompleted)) == len(of_type(events, ev.StepStarted))


async def test_what_a_model_said_that_the_agent_gave_up_is_no_answer(model):
    model.script("slow", Answer("First words", FOREVER), Answer("Quick."))

    async def answer(state: MessagesState) -> dict:
        try:
            return {"messages": [await asyncio.wait_for(chat(model).ainvoke(state["messages"]), 1)]}
        except TimeoutError:
            return {"messages": [await chat(model).ainvoke(state["messages"])]}

    events = await run(graph_of(answer), turn_of("[[slow]]"))
    said = {each.message_id: each.text for each in of_type(events, ev.MessageDone)}
    (dropped,) = of_type(events, ev.ItemDropped)
    assert said.pop(dropped.item_id).startswith("First words")
    assert list(said.values()) == ["Quick."]
    assert len(of_type(events, ev.StepCompleted)) == len(of_type(events, ev.StepStarted))


async def test_a_checkpointer_of_the_graph_is_not_used(model):
    model.script("memory", Answer("One."), Answer("Two."))
    saver = InMemorySaver()
    agent = loaded(create_agent(chat(model), checkpointer=saver))
    await run(agent, turn_of("[[memory]]", conversation="conv_1"))
    await run(agent, turn_of("[[memory]]", conversation="conv_1"))
    assert [len(r.messages) for r in model.requests("memory")] == [1, 1]
    assert not saver.storage


async def test_a_factory_builds_an_agent_for_each_turn(model):
    model.script("factory", Answer("Made."))
    seen: list[AgentContext] = []

    async def make(context: AgentContext) -> CompiledStateGraph:
        seen.append(context)
        return create_agent(chat(model, temperature=context.parameters["temperature"]))

    turn = turn_of("[[factory]]", parameters={"temperature": 0.5}, conversation="conv_1")
    assert texts(await run(make, turn)) == ["Made."]
    assert seen[0].conversation == "conv_1"
    assert seen[0].model.api_key == "turn-key"
    assert model.requests("factory")[0].body["temperature"] == 0.5


async def test_a_declarative_agent_takes_the_requests_parameters(model):
    model.script("declared", Answer("Hi."))
    spec = {"model": {"name": "scripted-model", "temperature": 0.9, "topP": 0.5}, "systemPrompt": "Be kind."}
    agent = LangGraphAdapter().load(definition(**spec))
    turn = turn_of("[[declared]]", parameters={"temperature": 0.1, "max_output_tokens": 9})
    assert texts(await run(agent, turn, context_of(base_url=model.base_url))) == ["Hi."]
    request = model.requests("declared")[0]
    assert request.headers["authorization"] == "Bearer turn-key"
    assert {n: request.body[n] for n in ("temperature", "top_p", "max_tokens")} == {
        "temperature": 0.1,
        "top_p": 0.5,
        "max_tokens": 9,
    }
    assert request.messages[0] == {"role": "system", "content": "Be kind."}


async def test_a_call_to_a_tool_of_the_client_ends_the_turn(model):
    model.script("client", Answer(Call("weather", id="c1")), Answer("Rain."))
    agent = LangGraphAdapter().load(definition(model={"name": "scripted-model"}))
    context = context_of(base_url=model.base_url)
    turn = turn_of("[[client]]", tools=[WEATHER], parameters={"tool_choice": "required"})
    events = await run(agent, turn, context)
    assert of_type(events, ev.ToolCall) == [ToolCall(call_id="c1", name="weather", arguments="{}", side="client")]
    assert not of_type(events, ev.ToolResult)
    assert not boundary_of(context).outcomes
    assert model.requests("client")[0].body["tool_choice"] == "required"

    items = [
        {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "rain"},
    ]
    assert texts(await run(agent, turn_of("[[client]]", *items, tools=[WEATHER]), context)) == ["Rain."]


@pytest.mark.parametrize("order", [("c1", "c2"), ("c2", "c1")])
async def test_tools_beside_one_of_the_clients_run_before_the_turn_ends(model, order):
    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    async def make(context: AgentContext) -> CompiledStateGraph:
        return create_agent(chat(model), [add, *context.tools])

    calls = {"c1": Call("weather", id="c1"), "c2": Call("add", {"a": 1, "b": 2}, id="c2")}
    model.script(f"beside-{order[0]}", Answer(*(calls[call_id] for call_id in order)), Answer("It went on."))
    context = context_of(base_url=model.base_url)
    events = await run(make, turn_of(f"[[beside-{order[0]}]]", tools=[WEATHER]), context)
    sides = {"c1": "client", "c2": "worker"}
    assert [(call.call_id, call.side) for call in of_type(events, ev.ToolCall)] == [(i, sides[i]) for i in order]
    assert outputs(context) == {"c2": "3"}
    assert texts(events) == []
    assert len(model.requests(f"beside-{order[0]}")) == 1


OWN = tool(add)


def _by_name(state: MessagesState) -> MessagesState:
    named = {OWN.name: OWN}
    picked = [(named[call["name"]], call) for call in called(state)]
    return {"messages": [each.invoke(call) for each, call in picked]}


def _by_search(state: MessagesState) -> MessagesState:
    calls = called(state)
    return {
        "messages": [next(each for each in (OWN,) if each.name == call["name"]).invoke(call) for call in calls]
    }


async def _slowly(state: dict[str, Any]) -> MessagesState:
    await asyncio.sleep(0.05)
    return {"messages": [await {OWN.name: OWN}[state["name"]].ainvoke(state)]}


def _sent(state: MessagesState) -> list[Send] | str:
    return [Send("tools", call) for call in called(state)] or END


async def _whole(asked: Runnable, messages: list[AnyMessage]) -> AIMessage:
    return await asked.ainvoke(messages)


async def _added_up(asked: Runnable, messages: list[AnyMessage]) -> AIMessage:
    chunks = [chunk async for chunk in asked.astream(messages)]
    return sum(chunks[1:], start=chunks[0])


async def _added_up_in_a_thread(asked: Runnable, messages: list[AnyMessage]) -> AIMessage:
    return await asyncio.to_thread(lambda: reduce(operator.add, asked.stream(messages)))


async def _of_events(asked: Runnable, messages: list[AnyMessage]) -> AIMessage:
    events = [event async for event in asked.astream_events(messages, version="v2")]
    return events[-1]["data"]["output"]


async def _of_protocol_events(asked: Runnable, messages: list[AnyMessage]) -> AIMessage:
    return await asyncio.to_thread(lambda: cast(Any, asked.stream_events(messages, version="v3")).output)


@pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
@pytest.mark.parametrize("asking", [_whole, _added_up, _added_up_in_a_thread, _of_events, _of_protocol_events])
@pytest.mark.parametrize(
    ("node", "route"),
    [
        (ToolNode([OWN]), tools_condition),
        (_by_name, tools_condition),
        (_by_search, tools_condition),
        (_slowly, _sent),
    ],
    ids=["prebuilt", "by name", "by search", "sent"],
)
async def test_a_node_that_knows_no_tool_of_the_clients_runs_its_own_first(model, node, route, asking):
    async def make(context: AgentContext) -> StateGraph:
        asked = chat(model).bind_tools([OWN, *context.tools])

        async def ask(state: MessagesState) -> MessagesState:
            return {"messages": [await asking(asked, state["messages"])]}

        graph = StateGraph(MessagesState).add_node(ask).add_node("tools", node)
        return graph.add_edge(START, "ask").add_conditional_edges("ask", route).add_edge("tools", "ask")

    key = f"unknown-{id(node)}{asking.__name__}"
    calls = (
        Call("weather", '{"town": "Rome"}', id="c1", pieces=3),
        Call("add", {"a": 1, "b": 2}, id="c2", pieces=3),
    )
    model.script(key, Answer("Both.", *calls), Answer("It went on."))
    context = context_of(base_url=model.base_url)
    events = await run(make, turn_of(f"[[{key}]]", tools=[WEATHER]), context)
    assert [(call.call_id, call.side) for call in of_type(events, ev.ToolCall)] == [
        ("c1", "client"),
        ("c2", "worker"),
    ]
    assert of_type(events, ev.ToolCall)[0].arguments == '{"town": "Rome"}'
    assert outputs(context) == {"c2": "3"}
    assert texts(events) == ["Both."]
    assert len(model.requests(key)) == 1


async def test_a_clients_call_that_a_node_streams_ends_the_turn_alone(model):
    async def make(context: AgentContext) -> StateGraph:
        asked = chat(model).bind_tools(context.tools)

        async def ask(state: MessagesState) -> MessagesState:
            return {"messages": [await _added_up(asked, state["messages"])]}

        return StateGraph(MessagesState).add_node(ask).add_edge(START, "ask")

    model.script(
        "streamed-alone", Answer(Call("weather", '{"town": "Ro', id="c1", pieces=2), Call("weather", id="c3"))
    )
    events = await run(make, turn_of("[[streamed-alone]]", tools=[WEATHER]), context_of(base_url=model.base_url))
    assert [(call.call_id, call.arguments, call.side) for call in of_type(events, ev.ToolCall)] == [
        ("c1", '{"town": "Ro', "client"),
        ("c3", "{}", "client"),
    ]


@pytest.mark.parametrize(("arguments", "is_whole"), [('{"town": "Rome"}', True), ('{"town": "Ro', False)])
async def test_a_clients_call_in_an_answer_that_code_stops_to_read_is_the_clients(model, arguments, is_whole):
    async def make(context: AgentContext) -> StateGraph:
        asked = chat(model).bind_tools(context.tools)

        async def ask(state: MessagesState) -> MessagesState:
            async for piece in asked.astream(state["messages"]):
                if piece.response_metadata.get("finish_reason"):
                    break
            return {"messages": []}

        return StateGraph(MessagesState).add_node(ask).add_edge(START, "ask")

    key = f"unread-{is_whole}"
    model.script(key, Answer(Call("weather", arguments, id="c1", pieces=2)))
    events = await run(make, turn_of(f"[[{key}]]", tools=[WEATHER]), context_of(base_url=model.base_url))
    calls = [(call.call_id, call.arguments, call.side) for call in of_type(events, ev.ToolCall)]
    assert calls == ([("c1", arguments, "client")] if is_whole else [])


@pytest.mark.parametrize("pieces_read", range(1, 9))
async def test_a_call_is_handed_over_as_the_model_wrote_it_or_not_at_all(model, pieces_read):
    async def make(context: AgentContext) -> StateGraph:
        asked = chat(model).bind_tools(context.tools)

        async def ask(state: MessagesState) -> MessagesState:
            read = 0
            async for _ in asked.astream(state["messages"]):
                read += 1
                if read == pieces_read:
                    break
            return {"messages": []}

        return StateGraph(MessagesState).add_node(ask).add_edge(START, "ask")

    key = f"broken-{pieces_read}"
    model.script(key, Answer("Hi.", Call("weather", '{"town": "Rome"}', id="c1", pieces=2)))
    events = await run(make, turn_of(f"[[{key}]]", tools=[WEATHER]), context_of(base_url=model.base_url))
    calls = [call.arguments for call in of_type(events, ev.ToolCall)]
    assert calls in ([], ['{"town": "Rome"}'])
    assert calls or pieces_read < 6


class _WrittenCache(InMemoryCache):
    """Keeps answers written, as caches on disk do."""

    def lookup(self, prompt: str, llm_string: str) -> list[Any] | None:
        written: Any = super().lookup(prompt, llm_string)
        return None if written is None else [loads(each, allowed_objects="core") for each in written]

    def update(self, prompt: str, llm_string: str, return_val: Sequence[Any]) -> None:
        written: list[Any] = [dumps(each) for each in return_val]
        super().update(prompt, llm_string, written)


@pytest.mark.filterwarnings("ignore:The function `loads` is in beta")
@pytest.mark.parametrize("kind", [InMemoryCache, _WrittenCache])
async def test_an_answer_that_a_cache_keeps_keeps_its_calls(model, kind):
    """LangChain's own cache holds the very message that a graph gets."""

    async def make(context: AgentContext) -> CompiledStateGraph:
        return create_agent(chat(model, cache=cache), [add, *context.tools])

    cache = kind()
    calls = (Call("weather", id="c1"), Call("add", {"a": 1, "b": 2}, id="c2"))
    model.script(kind.__name__, Answer(*calls))
    for _ in range(2):
        context = context_of(base_url=model.base_url)
        events = await run(make, turn_of(f"[[{kind.__name__}]]", tools=[WEATHER]), context)
        assert {call.call_id: call.side for call in of_type(events, ev.ToolCall)} == {
            "c1": "client",
            "c2": "worker",
        }
        assert outputs(context) == {"c2": "3"}
    assert len(model.requests(kind.__name__)) == 1


async def test_a_tool_beside_one_of_the_clients_may_ask_a_model(model):
    async def summarise() -> str:
        """Summarise."""
        return (await chat(model).ainvoke("[[inside-a-tool]]")).text

    async def make(context: AgentContext) -> CompiledStateGraph:
        return create_agent(chat(model), [summarise, *context.tools])

    model.script("inside-a-tool", Answer("A summary."))
    model.script(
        "asking-beside", Answer(Call("weather", id="c1"), Call("summarise", {}, id="c2")), Answer("It went on.")
    )
    context = context_of(base_url=model.base_url)
    await run(make, turn_of("[[asking-beside]]", tools=[WEATHER]), context)
    assert outputs(context) == {"c2": "A summary."}
    assert len(model.requests("asking-beside")) == 1


async def test_a_finished_graph_refuses_tools_of_the_request(model):
    with pytest.raises(RequestError, match="'tried' is a finished graph and cannot take tools"):
        await run(create_agent(chat(model)), turn_of("hi", tools=[WEATHER]))


async def test_only_function_tools_are_taken():
    agent = LangGraphAdapter().load(definition(model={"name": "scripted-model"}))
    with pytest.raises(RequestError, match="not 'web_search'"):
        await run(agent, turn_of("hi", tools=[{"type": "web_search"}]))


async def test_a_file_stays_of_its_type(model):
    """LangChain takes what chat completions call a file for a PDF."""
    model.script("file", Answer("Read."))
    file = {"type": "input_file", "filename": "a.txt", "file_data": "data:text/plain;base64,aGVsbG8="}
    turn = turn_of("")
    content = [{"type": "input_text", "text": "[[file]] Read this."}, file]
    turn = turn.model_copy(update={"input": [{"type": "message", "id": "m", "role": "user", "content": content}]})
    await run(create_agent(chat(model)), turn)
    sent = model.requests("file")[0].messages[-1]["content"][1]
    assert sent == {"type": "file", "file": {"file_data": file["file_data"], "filename": "a.txt"}}


def _shown(events) -> list[str]:
    """The messages of the answer, in the order in which they are shown."""
    begun: dict[str, str] = {}
    for event in events:
        if event.type == "text.delta":
            begun[event.message_id] = begun.get(event.message_id, "") + event.delta
        elif event.type == "item.dropped":
            del begun[event.item_id]
    return list(begun.values())


_ORDERS = {
    "words before": lambda a, b: [AIMessage("Words:"), a, b],
    "words between": lambda a, b: [a, AIMessage("And:"), b],
    "words after": lambda a, b: [a, b, AIMessage("Done.")],
    "turned": lambda a, b: [b, a],
    "turned copies": lambda a, b: [AIMessage(b.content), AIMessage(a.content)],
    "in order": lambda a, b: [a, b],
}


@pytest.mark.parametrize("order", _ORDERS)
async def test_an_answer_has_the_order_of_the_state(model, order):
    key = order.replace(" ", "-")
    model.script(f"order-{key}", Answer("One."), Answer("Two."), Answer("Three."))

    async def answer(state: MessagesState) -> dict:
        first = await chat(model).ainvoke(state["messages"])
        second = await chat(model).ainvoke(state["messages"])
        return {"messages": _ORDERS[order](first, second)}

    async def then(state: MessagesState) -> dict:
        return {"messages": [await chat(model).ainvoke(state["messages"][:1])]}

    graph = graph_of(answer, then)
    events = await run(graph, turn_of(f"[[order-{key}]]"))
    wanted = [each.content for each in _ORDERS[order](AIMessage("One."), AIMessage("Two."))]
    assert _shown(events) == [*wanted, "Three."]
    again = {"words before": ["One.", "Two."], "words between": ["Two."]}.get(order, ["One."])
    said = [*wanted, "Three.", *(again if order not in ("in order", "words after") else [])]
    assert sorted(texts(events)) == sorted(said)


@pytest.mark.parametrize("inner", [False, True])
async def test_parallel_answers_have_the_order_of_the_state(model, inner):
    go = asyncio.Event()
    model.script(f"quick-{inner}", Answer("Quick."))
    model.script(f"slow-{inner}", Answer("Slow."))

    async def answer(state: MessagesState) -> dict:
        async def slow() -> AIMessage:
            await go.wait()
            return await chat(model).ainvoke(f"[[slow-{inner}]]")

        async def quick() -> AIMessage:
            said = await chat(model).ainvoke(f"[[quick-{inner}]]")
            go.set()
            return said

        return {"messages": list(await asyncio.gather(slow(), quick()))}

    graph = graph_of(answer)
    if inner:
        graph = StateGraph(MessagesState).add_node("inner", graph.compile())
        graph.add_edge(START, "inner").add_edge("inner", END)
    events = await run(graph, turn_of("Both, please."))
    assert _shown(events) == ["Slow.", "Quick."]
    assert sorted(texts(events)) == ["Quick.", "Quick.", "Slow."]


async def test_equal_words_are_not_said_again_for_their_order(model):
    model.script("equal-turned", Answer("Yes."), Answer("Yes."))

    async def answer(state: MessagesState) -> dict:
        first = await chat(model).ainvoke(state["messages"])
        return {"messages": [await chat(model).ainvoke(state["messages"]), first]}

    events = await run(graph_of(answer), turn_of("[[equal-turned]]"))
    assert texts(events) == ["Yes.", "Yes."]
    assert not of_type(events, ev.ItemDropped)


async def test_words_before_a_call_leave_the_call_where_it_is(model):
    call = Call("add", {"a": 1, "b": 2}, id="c1")
    model.script("call-order", Answer("I add.", call), Answer("Three."))

    async def ask(state: MessagesState) -> dict:
        said = await chat(model).bind_tools([OWN]).ainvoke(state["messages"])
        return {"messages": [AIMessage("Let me see."), said] if said.tool_calls else [said]}

    graph = StateGraph(MessagesState).add_node(ask).add_node("tools", ToolNode([OWN]))
    graph.add_edge(START, "ask").add_conditional_edges("ask", tools_condition).add_edge("tools", "ask")
    events = await run(graph, turn_of("[[call-order]]"))
    assert _shown(events) == ["Let me see.", "I add.", "Three."]
    assert sorted(texts(events)) == ["I add.", "I add.", "Let me see.", "Three."]
    assert len(of_type(events, ev.ToolCall)) == 1


_PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        ([_PICTURE], "[image]"),
        ([_PICTURE, {"type": "text", "text": "Look."}], "[image]Look."),
        ([{"type": "image", "base64": "AA==", "mime_type": "image/png"}, "Look."], "[image]Look."),
        ([{"type": "image_generation_call", "id": "ig", "result": "AA=="}], "[image]"),
        ([{"type": "json", "json": {"a": 1}}], "[json]"),
        ([{"type": "banana"}, {"type": "output_text", "text": "Eat."}], "[banana]Eat."),
        ([{"type": "input_audio", "input_audio": {"data": "AA=="}}], "[audio]"),
        ([{"type": "reasoning_content", "reasoning_content": {"text": "Hm."}}, {"index": 0}, "Yes."], "Yes."),
        ([{"type": "tool_use", "id": "t", "name": "f", "input": {}}, "I call."], "I call."),
        ([{"type": "web_search_call", "id": "w"}, {"type": "server_tool_use"}, "Found."], "Found."),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("of_model", [False, True])
async def test_an_answer_tells_of_the_parts_that_no_text_holds(content, shown, of_model):
    message = AIMessage(content, id="p1")

    async def answer(state: MessagesState) -> dict:
        fake = FakeMessagesListChatModel(responses=[message])
        return {"messages": [await fake.ainvoke(state["messages"]) if of_model else message]}

    assert texts(await run(graph_of(answer), turn_of("Show me."))) == [shown]


async def test_a_part_that_comes_in_pieces_is_marked_once():
    begun: set[object] = set()
    pieces = [AIMessageChunk(content=[{"type": "audio", "base64": "AA==", "index": 0}]) for _ in range(3)]
    assert [text_and_reasoning(piece, begun)[0] for piece in pieces] == ["[audio]", "", ""]


@pytest.mark.parametrize("earlier", [False, True])
async def test_an_answer_may_take_the_place_of_the_users_message(earlier):
    def answer(state: MessagesState) -> dict:
        return {"messages": [AIMessage("In its place.", id=state["messages"][-1].id)]}

    history = [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "I am Ada."}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello, Ada."}]},
    ]
    turn = turn_of("Who am I?", history=history if earlier else [])
    assert texts(await run(graph_of(answer), turn)) == ["In its place."]
