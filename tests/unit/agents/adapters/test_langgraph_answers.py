"""What a graph comes to is what its client gets: each shape is run by LangGraph alone and through the adapter."""

import asyncio
import json
import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, TypedDict

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import SummarizationMiddleware
from langchain.agents.structured_output import AutoStrategy, ProviderStrategy, ToolStrategy
from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage, convert_to_messages
from langchain_core.tools import tool
from langgraph.func import entrypoint, task
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.message import REMOVE_ALL_MESSAGES
from langgraph.prebuilt import create_react_agent
from langgraph.types import Command, interrupt
from pydantic import BaseModel

from k8gentai.agents.adapters.base.answer_text import answer_text
from k8gentai.agents.adapters.langgraph.answers import Answers, Published
from k8gentai.agents.contract import events as ev
from k8gentai.agents.contract.turn import AgentLoadError, Decision
from tests.scripted import Answer, Call
from tests.support.langgraph import Boundary, answered, chat, context_of, loaded, of_type, run, turn_of

# LangChain keeps its HTTP clients for the whole process, so all turns of a process share a loop, as in a worker.
pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    # People's code still uses it.
    pytest.mark.filterwarnings("ignore:create_react_agent has been moved"),
    # LangChain's own, of its structured output.
    pytest.mark.filterwarnings("ignore:Pydantic serializer warnings"),
]


class Plan(BaseModel):
    """A plan."""

    city: str
    days: int = 3


class Route(BaseModel):
    """Where to go next."""

    next: str


PLAN = '{"city": "Oslo", "days": 3}'


def chain(*nodes: Any, state: Any = MessagesState) -> Any:
    """A graph whose nodes follow each other."""
    graph = StateGraph(state)
    before = START
    for node in nodes:
        graph.add_node(node.__name__, node)
        graph.add_edge(before, node.__name__)
        before = node.__name__
    return graph.compile()


def says(messages: Any) -> Any:
    """A graph whose one node answers so, without a model."""

    def answer(state: dict) -> Any:
        return messages if isinstance(messages, Command) else {"messages": messages}

    return chain(answer)


def speaker(model: Any, name: str = "speak") -> Any:
    """A node that has the model answer."""

    async def speak(state: Any) -> Any:
        return {"messages": [await chat(model).ainvoke(state["messages"])]}

    speak.__name__ = name
    return speak


def _removed(model: Any) -> Any:
    def revise(state: MessagesState) -> Any:
        return {"messages": [RemoveMessage(str(state["messages"][-1].id)), AIMessage("Better.")]}

    return chain(speaker(model), revise)


def _replaced(model: Any) -> Any:
    def correct(state: MessagesState) -> Any:
        return {"messages": [AIMessage("Corrected.", id=state["messages"][-1].id)]}

    return chain(speaker(model), correct)


def _last_value(model: Any) -> Any:
    class State(TypedDict):
        messages: list

    async def draft(state: State) -> Any:
        return {"messages": [await chat(model).ainvoke(state["messages"])]}

    def final(state: State) -> Any:
        return {"messages": [*state["messages"], ("ai", "Final.")]}

    return chain(draft, final, state=State)


def _adding(model: Any) -> Any:
    class State(TypedDict):
        messages: Annotated[list, operator.add]

    def first(state: State) -> Any:
        return {"messages": [{"role": "assistant", "content": "Same."}]}

    def second(state: State) -> Any:
        return {"messages": [AIMessage("Same.")]}

    return chain(first, second, state=State)


def _pydantic_state(model: Any) -> Any:
    class State(BaseModel):
        messages: Annotated[list, operator.add]

    def answer(state: State) -> Any:
        return {"messages": [("assistant", "Typed.")]}

    return chain(answer, state=State)


def _subgraph(model: Any) -> Any:
    def note(state: MessagesState) -> Any:
        return {"messages": [("ai", "A note.")]}

    research = chain(note, speaker(model))
    return StateGraph(MessagesState).add_node("research", research).add_edge(START, "research").compile()


def _wrapped_subgraph(model: Any) -> Any:
    inner = chain(speaker(model, "one"), speaker(model, "two"))

    async def ask(state: MessagesState) -> Any:
        history = [("ai", "What was said."), *state["messages"]]
        result = await inner.ainvoke({"messages": history})
        return {"messages": [AIMessage(result["messages"][-1].content, name="inner")]}

    return chain(ask)


def _supervised(model: Any) -> Any:
    async def worker(state: MessagesState) -> Any:
        said = await chat(model).ainvoke(state["messages"])
        return {"messages": [HumanMessage(said.content, name="worker")]}

    return chain(worker)


def _router(method: Literal["function_calling", "json_mode", "json_schema"]) -> Callable[[Any], Any]:
    def made(model: Any) -> Any:
        async def route(state: MessagesState) -> Any:
            await chat(model).with_structured_output(Route, method=method).ainvoke(state["messages"])

        return chain(route, speaker(model))

    return made


def _guarded(model: Any) -> Any:
    async def guard(state: MessagesState) -> Any:
        await chat(model).ainvoke([("system", "Is it safe?"), *state["messages"]])

    return chain(guard, speaker(model))


def _summarized(model: Any) -> Any:
    summary = SummarizationMiddleware(chat(model), trigger=("messages", 3), keep=("messages", 2))
    return create_agent(chat(model), [weather], middleware=[summary])


def _all_removed(model: Any) -> Any:
    def compact(state: MessagesState) -> Any:
        kept = state["messages"][-1]
        return {"messages": [RemoveMessage(REMOVE_ALL_MESSAGES), ("user", "Summary."), kept]}

    return chain(speaker(model, "one"), speaker(model, "two"), compact)


@tool
def weather(town: str) -> str:
    """The weather."""
    return "Rain."


def _tool_with_a_model(model: Any) -> Any:
    @tool
    async def summarize(key: str) -> str:
        """Sum up."""
        return (await chat(model).ainvoke(key)).text

    return create_agent(chat(model), [summarize])


def _returning_directly(model: Any) -> Any:
    @tool(return_direct=True)
    def lookup(town: str) -> str:
        """The weather."""
        return "Snow."

    return create_agent(chat(model), [lookup])


def _elsewhere(model: Any) -> Any:
    class State(MessagesState):
        draft: str
        report: str

    class Output(TypedDict):
        report: str

    async def draft(state: State) -> Any:
        return {"draft": (await chat(model).ainvoke(state["messages"])).content}

    async def report(state: State) -> Any:
        return {"report": (await chat(model).ainvoke(state["messages"])).content}

    graph = StateGraph(State, output_schema=Output).add_node("draft", draft).add_node("report", report)
    return graph.add_edge(START, "draft").add_edge("draft", "report").compile()


class Report(BaseModel):
    """A report."""

    text: str


class _ModelOutput(BaseModel):
    report: Report


@dataclass
class _DataOutput:
    report: Report


def _output_of(schema: type) -> Callable[[Any], Any]:
    """A graph, one node of it a subgraph, whose output is of a schema that the first states are not of."""

    class State(MessagesState):
        report: Report

    def build(model: Any) -> Any:
        def report(state: State) -> Any:
            return {"report": Report(text=state["messages"][-1].content)}

        graph = StateGraph(State, output_schema=schema)
        graph.add_node("draft", chain(speaker(model))).add_node("report", report)
        return graph.add_edge(START, "draft").add_edge("draft", "report").compile()

    return build


def _functional(model: Any) -> Any:
    @task
    async def ask(messages: list) -> Any:
        return await chat(model).ainvoke(messages)

    @entrypoint()
    async def agent(messages: list) -> Any:
        await ask(messages)
        return entrypoint.final(value=await ask(messages), save=None)

    return agent


def _functional_text(model: Any) -> Any:
    @entrypoint()
    async def agent(question: str) -> str:
        return (await chat(model).ainvoke(question)).text.upper()

    return agent


def _functional_object(model: Any) -> Any:
    @entrypoint()
    def agent(asked: dict) -> Plan:
        return Plan(city="Oslo")

    return agent


def _tool_strategy(model: Any) -> Any:
    return create_agent(chat(model), [weather], response_format=ToolStrategy(Plan))


AI = ("ai", "This is it.")
WEATHER = Call("weather", {"town": "Oslo"}, id="w1")
SHAPES: dict[str, tuple[Callable[[Any], Any], list[Answer]]] = {
    "a dictionary": (lambda _: says([{"role": "assistant", "content": "This is it."}]), []),
    "a dictionary, not in a list": (lambda _: says({"role": "assistant", "content": "This is it."}), []),
    "a tuple": (lambda _: says([AI]), []),
    "a command with a dictionary": (
        lambda _: says(Command(update={"messages": [{"role": "ai", "content": "This is it."}]})),
        [],
    ),
    "a message made by hand": (lambda _: says(AIMessage("This is it.")), []),
    "content in parts": (
        lambda _: says([AIMessage([{"type": "text", "text": "This "}, {"type": "text", "text": "is it."}])]),
        [],
    ),
    "parts in a dictionary": (
        lambda _: says([{"role": "assistant", "content": [{"type": "text", "text": "This is it."}]}]),
        [],
    ),
    "two of one node": (lambda _: says([AI, ("ai", "And this.")]), []),
    "a message that is removed": (_removed, [Answer("A draft.")]),
    "a message that is replaced": (_replaced, [Answer("A draft.")]),
    "a state without a reducer": (_last_value, [Answer("A draft.")]),
    "a state that adds lists": (_adding, []),
    "a state that is a model": (_pydantic_state, []),
    "a subgraph": (_subgraph, [Answer("Found.")]),
    "a subgraph that a node runs": (_wrapped_subgraph, [Answer("One."), Answer("Two.")]),
    "an agent shown to a supervisor": (_supervised, [Answer("Done.")]),
    "a router by tool call": (_router("function_calling"), [Answer(Call("Route", {"next": "a"})), Answer("Hi.")]),
    "a router by schema": (_router("json_schema"), [Answer('{"next": "a"}'), Answer("Hi.")]),
    "a guard": (_guarded, [Answer("safe"), Answer("Hi.")]),
    "a summary": (_summarized, [Answer("I look.", WEATHER), Answer("A summary [[KEY]]."), Answer("It rains.")]),
    "a history that is compacted": (_all_removed, [Answer("One."), Answer("Two.")]),
    "a tool that asks a model": (
        _tool_with_a_model,
        [Answer(Call("summarize", {"key": "[[KEY]]"}, id="s1")), Answer("Inner."), Answer("Outer.")],
    ),
    "a tool that returns directly": (_returning_directly, [Answer(Call("lookup", {"town": "Oslo"}, id="l1"))]),
    "an answer beside the messages": (_elsewhere, [Answer("A draft."), Answer("A report.")]),
    "an output that is a model": (_output_of(_ModelOutput), [Answer("A draft.")]),
    "an output that is a data class": (_output_of(_DataOutput), [Answer("A draft.")]),
    "a function": (_functional, [Answer("One."), Answer("Two.")]),
    "a function of text": (_functional_text, [Answer("quiet")]),
    "a function that returns an object": (_functional_object, []),
    "tool strategy": (_tool_strategy, [Answer("I look.", WEATHER), Answer(Call("Plan", PLAN, id="p1"))]),
    "tool strategy, at the second try": (
        _tool_strategy,
        [Answer(Call("Plan", {"days": "x"}, id="p1")), Answer(Call("Plan", PLAN, id="p2"))],
    ),
    "provider strategy": (
        lambda model: create_agent(chat(model), [weather], response_format=ProviderStrategy(Plan)),
        [Answer("I look.", WEATHER), Answer(PLAN)],
    ),
    "auto strategy": (
        lambda model: create_agent(chat(model), [weather], response_format=AutoStrategy(Plan)),
        [Answer(Call("Plan", PLAN, id="p1"))],
    ),
    "prebuilt agent with a response format": (
        lambda model: create_react_agent(chat(model), [weather], response_format=Plan),
        [Answer("Three days in Oslo."), Answer(PLAN)],
    ),
}


def _alone(result: Any) -> list[str]:
    """What LangGraph alone came to: the texts of the assistant's messages, or the one answer it has elsewhere."""
    if isinstance(result, AIMessage):
        return [result.text]
    if not isinstance(result, dict):
        return [answer_text(result)]
    if result.get("structured_response") is not None:
        return [answer_text(result["structured_response"])]
    if "messages" not in result:
        return [answer_text(value) for value in result.values()]
    messages = _after_the_question(result["messages"])
    spoken = [m for m in messages if isinstance(m, AIMessage) or (isinstance(m, HumanMessage) and m.name)]
    texts: list[str] = [m.text for m in spoken if m.text]
    return texts or [messages[-1].text]


def _after_the_question(messages: list) -> list:
    read = convert_to_messages(messages)
    asked = [number for number, m in enumerate(read) if m.id == "asked" or m.text == "Summary."]
    return read[asked[-1] + 1 if asked else 0 :]


def _input(graph: Any, text: str) -> Any:
    question = HumanMessage(text, id="asked")
    if "messages" in graph.channels:
        return {"messages": [question]}
    kind = graph.channels["__start__"].typ
    return text if kind is str else [question] if kind is list else {"messages": [question]}


def _read(text: str) -> Any:
    """A text, or the value that its JSON is of."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _keyed(answer: Answer, key: str) -> Answer:
    """An answer of a script, with the script's key in it."""

    def part(given: Any) -> Any:
        if isinstance(given, Call):
            return Call(given.name, given.text.replace("KEY", key), given.id)
        return given.replace("KEY", key)

    return Answer(*map(part, answer.parts))


@pytest.mark.parametrize("shape", SHAPES)
async def test_the_client_gets_what_langgraph_alone_comes_to(model, shape):
    make, answers = SHAPES[shape]
    key = shape.replace(" ", "-").replace(",", "")
    for each in (f"{key}-alone", f"{key}-here"):
        model.script(each, *(_keyed(answer, each) for answer in answers))
    graph = make(model)
    alone = _alone(await graph.ainvoke(_input(graph, f"[[{key}-alone]]")))
    events = await run(make(model), turn_of(f"[[{key}-here]]"))
    assert "".join(alone), "the shape has an answer"
    assert [_read(text) for text in answered(events)] == [_read(text) for text in alone]
    calls = {call.name for call in of_type(events, ev.ToolCall)}
    assert calls <= {"weather", "summarize", "lookup"}, "no tool that nobody runs is shown"


async def test_an_answer_after_a_question_is_shown_once(model):
    model.script("asked", Answer("A draft."), Answer("A draft."))

    async def ask(state: MessagesState) -> Any:
        await chat(model).ainvoke(state["messages"])
        interrupt("Go on?")
        return {"messages": [{"role": "assistant", "content": "Going on."}]}

    class Approving(Boundary):
        def decision(self, question, name, arguments):
            return Decision(approve=True)

    events = await run(chain(ask), turn_of("[[asked]]"), context_of(Approving()))
    assert answered(events) == ["Going on."]


async def test_what_nodes_that_ended_did_not_pass_on_is_left_out_where_a_person_is_asked(model):
    words = ["It is safe.", "As a dictionary.", "To the parent.", "Replaced.", "Inner.", "Still at it."]
    model.script("left", *map(Answer, words))
    inner = chain(speaker(model))

    async def ask_model(state: MessagesState) -> Any:
        return (await chat(model).ainvoke(state["messages"])).content

    async def guard(state: MessagesState) -> Any:
        await ask_model(state)

    async def as_dictionary(state: MessagesState) -> Any:
        return {"messages": [{"role": "assistant", "content": await ask_model(state)}]}

    async def by_command(state: MessagesState) -> Any:
        return Command(update={"messages": [("ai", await ask_model(state))]})

    async def replaced(state: MessagesState) -> Any:
        return {"messages": [AIMessage(await ask_model(state), id="m")]}

    def replacing(state: MessagesState) -> Any:
        return {"messages": [AIMessage("In its place.", id="m")]}

    async def around(state: MessagesState) -> Any:
        await inner.ainvoke(state)

    async def asking(state: MessagesState) -> Any:
        await ask_model(state)
        interrupt("Go on?")

    graph = chain(guard, as_dictionary, by_command, replaced, replacing, around, asking)
    boundary, left, events = Boundary(), {}, []
    context = replace(context_of(boundary), leave_out=left.__setitem__, publish=events.append)
    running = asyncio.create_task(run(graph, turn_of("[[left]]"), context))
    await boundary.was_asked.wait()
    running.cancel()
    texts = {event.message_id: event.text for event in of_type(events, ev.MessageDone)}
    assert [text for name, text in texts.items() if left.get(name)] == ["It is safe.", "Replaced.", "Inner."]
    assert list(texts.values())[-1] == "Still at it."


async def test_the_answer_of_a_turn_before_is_not_said_again():
    history = [{"type": "message", "role": "assistant", "content": "Before."}]

    def answer(state: MessagesState) -> Any:
        return {"messages": [RemoveMessage(REMOVE_ALL_MESSAGES), *state["messages"], ("ai", "Now.")]}

    events = await run(chain(answer), turn_of("And now?", history=history))
    assert answered(events) == ["Now."]


async def test_what_a_node_wrote_anew_of_before_is_no_answer(model):
    model.script("anew", Answer("Fresh."), Answer("Newer."), Answer("Newest."))

    async def trim(state: MessagesState) -> Any:
        said = await chat(model).ainvoke([("user", "[[anew]]")])
        before = [HumanMessage("A summary.", name="summary"), AIMessage("Earlier I said hello.")]
        return {"messages": [RemoveMessage(REMOVE_ALL_MESSAGES), *before, said]}

    def end(state: MessagesState) -> Any:
        return {"messages": [AIMessage("By hand."), AIMessage("The end.")]}

    async def again(state: MessagesState) -> Any:
        return await trim(state)

    assert answered(await run(chain(trim), turn_of("[[anew]]"))) == ["Fresh."]
    assert answered(await run(chain(trim, again, end), turn_of("Go on"))) == ["Newest.", "By hand.", "The end."]


async def test_messages_of_nodes_come_in_the_order_of_the_nodes(model):
    model.script("ordered", Answer("By a model."))

    def first(state: MessagesState) -> Any:
        return {"messages": [("ai", "First.")]}

    def last(state: MessagesState) -> Any:
        return {"messages": [("ai", "Last.")]}

    events = await run(chain(first, speaker(model), last), turn_of("[[ordered]]"))
    assert answered(events) == ["First.", "By a model.", "Last."]
    assert [event.text for event in of_type(events, ev.MessageDone)] == ["First.", "By a model.", "Last."]


async def test_a_function_whose_parameter_is_no_message_is_refused():
    @entrypoint()
    def agent(number: int) -> int:
        return number

    with pytest.raises(AgentLoadError, match="a list of messages"):
        loaded(agent)


class Looks:
    """Counts how often what was published is looked at."""

    count = 0


class Words(str):
    def strip(self, *chars):
        Looks.count += 1
        return str.strip(self, *chars)


class Ids(set):
    def __contains__(self, known):
        Looks.count += 1
        return super().__contains__(known)

    def __iter__(self):
        Looks.count += 1
        return super().__iter__()


@pytest.mark.parametrize("is_known", [True, False])
@pytest.mark.parametrize("words", ["the same", "word {}"])
async def test_what_a_state_says_is_found_with_as_many_looks_as_there_are_messages(is_known, words):
    def looks(count):
        said = [AIMessage(words.format(number), id=f"m{number}") for number in range(count)]
        published = [
            Published(f"p{n}", Words(each.content), Ids({each.id if is_known else f"other{n}"}), n)
            for n, each in enumerate(said)
        ]
        told = []
        answers = Answers(published, str, int, told.append, told.append)
        answers.begin([HumanMessage("Go.", id="h")])
        Looks.count = 0
        answers.take((), {"messages": [HumanMessage("Go.", id="h"), *said]})
        assert told == []
        return Looks.count

    assert looks(400) <= 2 * looks(200)
