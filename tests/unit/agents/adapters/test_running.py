"""What an agent's run makes of the texts of its models and of what code returns."""

from collections.abc import Awaitable, Callable

import pytest

from k8gentai.agents.adapters.base.run import AgentRun
from k8gentai.agents.contract.events import ItemDropped, MessageDone
from tests.support.langgraph import Boundary, context_of


async def answers(texts: list[str], returned: str) -> list[str]:
    """Return the messages of a turn whose code returns a text after models said some."""

    async def speak(run: AgentRun) -> None:
        for text in texts:
            step = run.begin("agent")
            step.text(text)
            step.end()
        await run.conclude(returned)

    return await messages_of(speak)


async def messages_of(speak: Callable[[AgentRun], Awaitable[None]]) -> list[str]:
    """Return the messages of a turn."""
    run = AgentRun(context_of(Boundary()))

    async def work() -> None:
        await speak(run)

    messages: dict[str, str] = {}
    async for event in run.events(work()):
        if isinstance(event, MessageDone):
            messages[event.message_id] = event.text
        elif isinstance(event, ItemDropped):
            messages.pop(event.item_id, None)
    return list(messages.values())


@pytest.mark.parametrize(
    ("texts", "returned", "messages"),
    [
        (["Draft A", "OK"], "OK", ["Draft A", "OK"]),
        (["Draft A", "OK by me"], "Draft A", ["OK by me", "Draft A"]),
        (["OK", "OK"], "OK", ["OK", "OK"]),
        (["one two"], "ONE TWO", ["ONE TWO"]),
        (["one two\n"], "one two", ["one two\n"]),
        (["Draft A"], "Another", ["Draft A", "Another"]),
        (["Draft A"], "", ["Draft A"]),
    ],
)
async def test_the_text_that_code_returns_is_the_last_message(texts, returned, messages):
    assert await answers(texts, returned) == messages


async def test_what_a_model_call_said_that_broke_off_is_dropped_where_the_agent_goes_on():
    async def speak(run: AgentRun) -> None:
        broken = run.begin("agent")
        broken.text("one t")
        run.broke_off(broken)
        again = run.begin("agent")
        again.text("one two")
        again.end()

    assert await messages_of(speak) == ["one two"]


@pytest.mark.parametrize("said", ["", "42", "Let me see: "])
async def test_an_answer_takes_the_place_of_what_its_model_said_before(said):
    async def speak(run: AgentRun) -> None:
        step = run.begin("agent")
        step.text(said)
        step.be("42 it is")
        step.end()

    assert await messages_of(speak) == ["42 it is"]
