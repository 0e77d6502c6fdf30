"""Text is streamed token by token, and is the turn's answer."""

import asyncio

import pytest

from tests.conformance.capabilities import TEXT_DELTAS
from tests.conformance.helpers import check_sequence, collect, prompt, text_of
from tests.scripted import Answer, Gate


@pytest.mark.capability(TEXT_DELTAS)
async def test_text_is_streamed_while_the_model_speaks(client, model, key):
    gate = Gate()
    model.script(key, Answer("One ", "two ", gate, "three."))
    stream = await client.responses.create(model="plain", input=prompt(key), stream=True)
    events = []
    async with asyncio.timeout(20):
        async for event in stream:
            events.append(event)
            if text_of(events) == "One two ":
                gate.open()
    check_sequence(events)
    assert [e.delta for e in events if e.type == "response.output_text.delta"] == ["One ", "two ", "three."]
    assert events[-1].response.output_text == "One two three."


async def test_an_answer_in_one_piece(client, model, key):
    model.script(key, Answer("All ", "at once."))
    response = await client.responses.create(model="plain", input=prompt(key))
    assert (response.status, response.output_text) == ("completed", "All at once.")
    assert [item.type for item in response.output] == ["message"]


async def test_tokens_are_counted(client, model, key):
    model.script(key, Answer("Counted.", usage=(31, 5)))
    response = await client.responses.create(model="plain", input=prompt(key))
    assert (response.usage.input_tokens, response.usage.output_tokens) == (31, 5)


async def test_an_empty_answer_ends_the_turn(client, model, key):
    model.script(key, *(Answer() for _ in range(30)))
    events = await collect(await client.responses.create(model="plain", input=prompt(key), stream=True))
    check_sequence(events)
    assert text_of(events) == ""
