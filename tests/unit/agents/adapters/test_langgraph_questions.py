"""What graphs ask of people: each question gets its own answer, in whatever order the graph comes to it again."""

import asyncio
import json
import operator
import random
import uuid
from collections.abc import Callable
from typing import Annotated, Any, Literal

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware, wrap_tool_call
from langchain_core.language_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.func import entrypoint, task
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Send, interrupt
from pydantic import BaseModel

from k8gentai.agents.adapters.langgraph.adapter import LangGraphAdapter
from k8gentai.agents.contract import events as ev
from k8gentai.agents.contract.idempotency import CallKey, current_call_key
from k8gentai.agents.contract.turn import Decision, TurnError
from tests.support.langgraph import Boundary, called, context_of, loaded, of_type, texts, turn_of


class Handler:
    """An object that JSON has no word for."""


class Person(Boundary):
    """A boundary that keeps what was asked, and answers what was answered under the same id and content."""

    def __init__(self, answers: dict[str, tuple[str, str, Decision]]) -> None:
        super().__init__()
        self.answers = answers
        self.waiting: dict[str, tuple[str, str, tuple[str, ...]]] = {}

    def decision(self, question, name, arguments):
        seen = self.answers.get(question)
        return seen[2] if seen and seen[:2] == (name, arguments) else None

    async def ask(self, call_id, name, arguments, about=()):
        if decision := self.decision(call_id, name, arguments):
            return decision
        assert call_id not in self.waiting, "two questions have one id"
        self.waiting[call_id] = (name, arguments, tuple(about))
        self.was_asked.set()
        return await asyncio.get_running_loop().create_future()

    async def call(self, call_id, name, arguments, run, *, approval=False, starts_work=False):
        token = current_call_key.set(CallKey(f"resp_1:{call_id}"))
        try:
            return await super().call(call_id, name, arguments, run, approval=approval, starts_work=starts_work)
        finally:
            current_call_key.reset(token)


class Talk:
    """A turn of an agent and the turns that continue it, as the harness and people make them."""

    def __init__(self, thing: object) -> None:
        self._agent = loaded(thing)
        self._answers: dict[str, tuple[str, str, Decision]] = {}
        self.waiting: dict[str, tuple[str, str, tuple[str, ...]]] = {}
        self.said: list[str] | None = None
        """The messages, once the turn has ended."""
        self.events: list[Any] = []

    async def run(self) -> "Talk":
        """Run the agent until it ends or waits."""
        person = Person(self._answers)
        self.events, self.said = [], None

        async def read() -> None:
            async for event in LangGraphAdapter().run(self._agent, turn_of("Go."), context_of(person)):
                self.events.append(event)

        reading = asyncio.create_task(read())
        asked = asyncio.create_task(person.was_asked.wait())
        await asyncio.wait({reading, asked}, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if reading.done():
            reading.result()
            self.said = texts(self.events)
        else:
            # All questions of a graph that stopped are asked together.
            await asyncio.sleep(0)
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        self.waiting, self.outcomes, self.ran = person.waiting, person.outcomes, person.arguments
        return self

    def asked(self) -> list[Any]:
        """What is asked, read as JSON."""
        return [json.loads(arguments) for _, arguments, _ in self.waiting.values()]

    def answer(self, question: str, reason: str | None = None, *, approve: bool = True) -> None:
        """Answer one question."""
        name, arguments, _ = self.waiting[question]
        self._answers[question] = (name, arguments, Decision(approve=approve, reason=reason))


async def answered(talk: Talk, answers: dict[str, str], chance: random.Random) -> list[str]:
    """Answer each question by what it asks, a part of them at a time. Returns what the agent said at its end."""
    await talk.run()
    while talk.said is None:
        ids = list(talk.waiting)
        assert ids, "it waits for nothing"
        for question in chance.sample(ids, chance.randint(1, len(ids))):
            talk.answer(question, answers[json.loads(talk.waiting[question][1])])
        await talk.run()
    return talk.said


class Lines(MessagesState):
    lines: Annotated[list[str], operator.add]


def asking(name: str, question: str):
    """A node that asks after a moment."""

    async def node(state):
        for _ in range(random.randrange(5)):
            await asyncio.sleep(0)
        return {"lines": [f"{name}={interrupt(question)}"]}

    return node


def report(state) -> dict:
    return {"messages": [AIMessage(" ".join(sorted(state["lines"])))]}


def fan(nodes: dict[str, Any]) -> StateGraph:
    graph = StateGraph(Lines).add_node("report", report).add_edge("report", END)
    for name, node in nodes.items():
        graph.add_node(name, node).add_edge(START, name).add_edge(name, "report")
    return graph


def parallel() -> object:
    return fan({name: asking(name, f"{name}?") for name in "abcd"}).compile()


def subgraphs() -> object:
    def inner(name: str) -> object:
        graph = StateGraph(Lines).add_node("ask", asking(name, f"{name}?"))
        return graph.add_edge(START, "ask").add_edge("ask", END).compile()

    return fan({name: inner(name) for name in "abc"}).compile()


def sends() -> object:
    async def ask(state):
        for _ in range(random.randrange(5)):
            await asyncio.sleep(0)
        return {"lines": [f"{state['name']}={interrupt(state['name'] + '?')}"]}

    return (
        StateGraph(Lines)
        .add_node("ask", ask)
        .add_node("report", report)
        .add_conditional_edges(START, lambda state: [Send("ask", {"name": name}) for name in "abcd"])
        .add_edge("ask", "report")
        .compile()
    )


def one_node() -> object:
    """Asks several things at once in one task: LangGraph alone gives their answers by the order they come."""

    async def ask(name):
        for _ in range(random.randrange(5)):
            await asyncio.sleep(0)
        return f"{name}={interrupt(name + '?')}"

    async def node(state):
        return {"lines": list(await asyncio.gather(*(ask(name) for name in "abc")))}

    return fan({"node": node}).compile()


def functional() -> object:
    @task
    async def ask(name: str) -> str:
        for _ in range(random.randrange(5)):
            await asyncio.sleep(0)
        return f"{name}={interrupt(name + '?')}"

    @entrypoint()
    async def flow(names: list[str]) -> list[str]:
        return list(await asyncio.gather(*(ask(name) for name in names)))

    async def node(state):
        return {"lines": await flow.ainvoke(list("abc"))}

    return fan({"node": node}).compile()


def tools() -> object:
    @tool
    async def ask(name: str) -> str:
        """Ask."""
        for _ in range(random.randrange(5)):
            await asyncio.sleep(0)
        return f"{name}={interrupt(name + '?')}"

    def call(state):
        calls = [{"id": f"c{name}", "name": "ask", "args": {"name": name}} for name in "abc"]
        return {"messages": [AIMessage("", tool_calls=calls)]}

    def tell(state):
        results = [message.text for message in state["messages"] if isinstance(message, ToolMessage)]
        return {"messages": [AIMessage(" ".join(sorted(results)))]}

    return (
        StateGraph(MessagesState)
        .add_node("call", call)
        .add_node("tools", ToolNode([ask]))
        .add_node("tell", tell)
        .add_edge(START, "call")
        .add_edge("call", "tools")
        .add_edge("tools", "tell")
        .compile()
    )


@pytest.mark.parametrize("make", [parallel, subgraphs, sends, one_node, functional, tools])
async def test_questions_asked_at_once_get_their_own_answers(make):
    chance = random.Random(make.__name__)
    answers = {f"{name}?": f"{name.upper()}{name.upper()}" for name in "abcd"}
    for _ in range(8):
        (said,) = await answered(Talk(make()), answers, chance)
        assert said == " ".join(f"{name}={name.upper() * 2}" for name in ("abcd" if len(said) > 14 else "abc"))


@pytest.mark.parametrize(
    "made",
    [
        lambda: AIMessage("A draft.", id=f"lc_run--{uuid.uuid4()}"),
        lambda: {"drafts": [AIMessage("A draft.", id=str(uuid.uuid4())).model_dump()]},
        lambda: {"by": Handler()},
    ],
)
async def test_a_question_that_holds_what_each_attempt_makes_anew_is_asked_once(made):
    kept = []

    def node(state):
        # What comes to lie at the address of what was there would be equal by chance.
        kept.append(made())
        return {"lines": [interrupt({"ok?": kept[-1]})]}

    talk = await Talk(fan({"node": node}).compile()).run()
    (question,) = talk.waiting
    talk.answer(question, "yes")
    assert (await talk.run()).said == ["yes"]


async def test_equal_questions_get_answers_by_their_place():
    names = ["first", "second", "third"]
    talk = await Talk(fan({name: asking(name, "Sure?") for name in names}).compile()).run()
    assert talk.asked() == ["Sure?"] * 3
    # In the order of the graph's tasks, whichever asked first.
    for number, question in enumerate(talk.waiting):
        talk.answer(question, f"n{number}")
    (said,) = (await talk.run()).said or []
    for _ in range(10):
        assert (await talk.run()).said == [said]
    assert sorted(part.split("=")[1] for part in said.split()) == ["n0", "n1", "n2"]


async def test_one_question_after_the_other_of_one_node():
    def node(state):
        return {"lines": [f"{interrupt('Again?')},{interrupt('Again?')},{interrupt('Who?')}"]}

    talk = await Talk(fan({"node": node}).compile()).run()
    for reason in ("one", "two", "three"):
        (question,) = talk.waiting
        talk.answer(question, reason)
        await talk.run()
    assert talk.said == ["one,two,three"]


async def test_the_same_question_each_time_a_loop_comes_round():
    def ask(state):
        return {"lines": [interrupt("More?")]}

    def again(state) -> Literal["ask", "report"]:
        return "report" if len(state["lines"]) == 3 else "ask"

    graph = StateGraph(Lines).add_node("ask", ask).add_node("report", report)
    graph.add_edge(START, "ask").add_conditional_edges("ask", again).add_edge("report", END)
    talk = await Talk(graph.compile()).run()
    for reason in ("a", "b", "c"):
        (question,) = talk.waiting
        talk.answer(question, reason)
        await talk.run()
    assert talk.said == ["a b c"]


async def test_an_answer_to_something_else_does_not_count():
    words = ["Pay 1?"]

    def node(state):
        return {"lines": [str(interrupt(words[0]))]}

    talk = await Talk(fan({"node": node}).compile()).run()
    (question,) = talk.waiting
    talk.answer(question)
    words[0] = "Pay 1000?"
    await talk.run()
    assert talk.asked() == ["Pay 1000?"]
    assert question not in talk.waiting


async def test_an_answer_comes_in_the_type_that_the_graph_asks_for():
    class Order(BaseModel):
        pieces: int

    def node(state):
        return {"lines": [repr(interrupt("How many?", response_schema=Order))]}

    talk = await Talk(fan({"node": node}).compile()).run()
    (question,) = talk.waiting
    talk.answer(question, '{"pieces": 3}')
    assert (await talk.run()).said == ["Order(pieces=3)"]


async def test_a_graph_that_stops_without_asking_for_an_answer_is_an_error():
    from langgraph.errors import GraphInterrupt
    from langgraph.types import Interrupt

    def node(state):
        raise GraphInterrupt([Interrupt("No way on.")])

    talk = await Talk(fan({"node": node}).compile()).run()
    (question,) = talk.waiting
    talk.answer(question)
    with pytest.raises(TurnError, match="would return the answer"):
        await talk.run()


Mode = Literal["batched", "per_call"]


class Scripted(FakeMessagesListChatModel):
    def bind_tools(self, tools, **options):
        return self


def pay(amount: int) -> str:
    """Pay."""
    return f"paid {amount}"


def reviewed(mode: Mode, **options: Any) -> object:
    """An agent that pays twice the same, and once something else, all at once."""
    review: Any = options or True

    calls = [
        {"id": f"p{number}", "name": "pay", "args": {"amount": amount}} for number, amount in enumerate((5, 5, 7))
    ]
    answers = [AIMessage("", tool_calls=calls), AIMessage("Done.")]
    middleware = HumanInTheLoopMiddleware(interrupt_on={"pay": review}, interrupt_mode=mode)
    return create_agent(Scripted(responses=answers), [pay], middleware=[middleware])


def results(talk: Talk) -> dict[str, str]:
    """What became of the calls, by their ids: those that ran, and those that somebody answered in their place."""
    ran = {call_id: outcome.output for call_id, outcome in talk.outcomes.items()}
    return ran | {event.call_id: event.output for event in of_type(talk.events, ev.ToolResult)}


@pytest.mark.parametrize("mode", ["batched", "per_call"])
async def test_the_middleware_asks_about_each_call_by_its_id(mode):
    for order in (["p2", "p0", "p1"], ["p1", "p2", "p0"]):
        talk = await Talk(reviewed(mode)).run()
        assert sorted(talk.waiting) == ["p0", "p1", "p2"]
        assert talk.waiting["p2"] == ("pay", '{"amount": 7}', ("p2",))
        for left, call_id in enumerate(order, 1):
            talk.answer(call_id, "no, not now" if call_id == "p1" else None, approve=call_id != "p1")
            # The model is asked anew, as no journal answers here.
            talk._agent = loaded(reviewed(mode))
            await talk.run()
            assert len(talk.waiting) == 3 - left


async def decided(mode: Mode, reason: str | None, *, approve: bool = True, **review: Any) -> Talk:
    """The agent's turn after the same decision about each call."""
    talk = await Talk(reviewed(mode, **review)).run()
    for call_id in list(talk.waiting):
        talk.answer(call_id, reason, approve=approve)
    talk._agent = loaded(reviewed(mode, **review))
    return await talk.run()


@pytest.mark.parametrize("mode", ["batched", "per_call"])
async def test_a_person_may_say_more_to_the_middleware_than_yes_and_no(mode):
    told = results(await decided(mode, None))
    assert [told[f"p{number}"] for number in range(3)] == ["paid 5", "paid 5", "paid 7"]
    edit = {"type": "edit", "edited_action": {"name": "pay", "args": {"amount": 1}}}
    edited = await decided(mode, json.dumps(edit))
    assert all("paid 1" in result for result in results(edited).values())
    # They run as the calls that were asked about: nobody is asked about what they wrote.
    assert set(edited.outcomes) == {"p0", "p1", "p2"}
    respond = {"type": "respond", "message": "Paid it myself."}
    assert set(results(await decided(mode, json.dumps(respond))).values()) == {"Paid it myself."}
    refused = results(await decided(mode, "Too much.", approve=False))
    assert all("Too much." in result for result in refused.values())


@wrap_tool_call
async def _pay_five(request, handler):
    return await handler(request.override(tool_call={**request.tool_call, "args": {"amount": 5}}))


def reviewed_with(mode: Mode, *, inside: bool) -> object:
    """An agent that is asked to pay 10; middleware inside or outside of the review has it pay 5."""
    review = HumanInTheLoopMiddleware(interrupt_on={"pay": True}, interrupt_mode=mode)
    calls = [{"id": "p0", "name": "pay", "args": {"amount": 10}}]
    answers = [AIMessage("", tool_calls=calls), AIMessage("Done.")]
    order = [review, _pay_five] if inside else [_pay_five, review]
    return create_agent(Scripted(responses=answers), [pay], middleware=order)


async def approved(agent: Callable[[], object], reason: str | None = None) -> Talk:
    talk = await Talk(agent()).run()
    talk.answer("p0", reason)
    talk._agent = loaded(agent())
    return await talk.run()


async def test_what_a_person_saw_is_what_runs_for_the_call():
    """Middleware around the review changes the call before a person sees it."""
    talk = await approved(lambda: reviewed_with("per_call", inside=False))
    assert {call_id: outcome.output for call_id, outcome in talk.outcomes.items()} == {"p0": "paid 5"}


@pytest.mark.parametrize("mode", ["batched", "per_call"])
async def test_what_middleware_makes_of_a_persons_edit_is_a_call_of_its_own(mode):
    edit = {"type": "edit", "edited_action": {"name": "pay", "args": {"amount": 1}}}
    talk = await approved(lambda: reviewed_with(mode, inside=True), json.dumps(edit))
    (own,) = set(talk.outcomes) - {"p0"}
    assert (talk.ran[own], talk.outcomes[own].output) == ({"amount": 5}, "paid 5")


@pytest.mark.parametrize("mode", ["batched", "per_call"])
async def test_a_call_that_takes_nothing_but_an_answer_gets_what_the_person_says(mode):
    talk = await decided(mode, "Paid it myself.", allowed_decisions=["respond"])
    assert set(results(talk).values()) == {"Paid it myself."}


async def test_a_breakpoint_asks_whether_the_graph_may_go_on():
    def graph():
        def call(state):
            asked = isinstance(state["messages"][-1], HumanMessage)
            calls = [{"id": "p1", "name": "pay", "args": {"amount": 5}}] if asked else []
            return {"messages": [AIMessage("" if asked else "Done.", tool_calls=calls)]}

        made = StateGraph(MessagesState).add_node("call", call).add_node("tools", ToolNode([pay]))
        made.add_edge(START, "call").add_edge("tools", "call")
        made.add_conditional_edges("call", lambda state: "tools" if called(state) else END)
        return made.compile(interrupt_before=["tools"])

    talk = await Talk(graph()).run()
    (question,) = talk.waiting
    assert talk.asked() == [{"next": ["tools"], "calls": [{"name": "pay", "arguments": {"amount": 5}}]}]
    assert results(talk) == {}
    talk.answer(question, approve=False)
    await talk.run()
    assert "did not approve" in results(talk)["p1"]
    talk._answers.clear()
    await talk.run()
    talk.answer(question)
    await talk.run()
    assert (talk.said, results(talk)) == (["Done."], {"p1": "paid 5"})
