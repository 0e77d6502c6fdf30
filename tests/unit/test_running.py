"""What an agent's run makes of the texts of its models and of what code returns."""

import pytest

from k8gentai.agents.events import ItemDropped, MessageDone
from k8gentai.agents.running import AgentRun
from tests.support.langgraph import Boundary, context_of


async def answers(texts: list[str], returned: str) -> list[str]:
    """Return the messages of a turn whose code returns a text after models said some."""
    run = AgentRun(context_of(Boundary()))

    async def work() -> None:
        for text in texts:
            step = run.begin("agent")
            step.text(text)
            step.end()
        run.conclude(returned)

    messages: dict[str, str] = {}
    async for event in run.events(work()):
        if isinstance(event, MessageDone):
            messages[event.message_id] = event.text
        elif isinstance(event, ItemDropped):
            del messages[event.item_id]
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
