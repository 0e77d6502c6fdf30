"""Turns of one agent at the same time know nothing of each other."""

import asyncio

from tests.conformance.helpers import items_of, prompt
from tests.scripted import Answer, Call, Gate

TURNS = 20


async def test_twenty_turns_at_once(client, model, key):
    """All are in their first model call before any goes on, so that they run side by side."""
    gate = Gate()
    for number in range(TURNS):
        model.script(
            f"{key}-{number}",
            Answer(f"Turn {number}. ", gate, Call("add", {"a": number, "b": 1000})),
            Answer(f"End of {number}."),
        )

    async def ask(number):
        return await client.responses.create(model="calculator", input=prompt(f"{key}-{number}"))

    turns = [asyncio.create_task(ask(number)) for number in range(TURNS)]
    for number in range(TURNS):
        await model.request(f"{key}-{number}")
    gate.open()
    for number, response in enumerate(await asyncio.gather(*turns)):
        assert response.status == "completed"
        (call,) = items_of(response, "mcp_call")
        assert float(call.output) == number + 1000
        assert response.output_text == f"Turn {number}. End of {number}."
        assert response.usage.output_tokens == 14
        first, second = model.requests(f"{key}-{number}")
        assert len([m for m in first.messages if m["role"] == "user"]) == 1
        assert [float(text) for text in second.texts("tool")] == [number + 1000]
