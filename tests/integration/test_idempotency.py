"""The same request sent again is the same turn."""

import asyncio

import openai
import pytest

from tests.integration.helpers import LANGGRAPH, collect, prompt
from tests.scripted import Answer, Gate


async def test_the_same_key_gives_the_same_turn(client, model, key):
    model.script(key, Answer("Once."))
    headers = {"Idempotency-Key": key}
    made = [
        await client.responses.create(model=LANGGRAPH, input=prompt(key), extra_headers=headers) for _ in range(3)
    ]
    assert len({response.id for response in made}) == 1
    assert [response.output_text for response in made] == ["Once."] * 3
    assert len(model.requests(key)) == 1


async def test_also_when_they_come_at_once_and_while_it_runs(client, model, key):
    gate = Gate()
    model.script(key, Answer("On", gate, "ce."))
    headers = {"Idempotency-Key": key}

    async def ask():
        stream = await client.responses.create(
            model=LANGGRAPH, input=prompt(key), stream=True, extra_headers=headers
        )
        return await collect(stream)

    asking = [asyncio.create_task(ask()) for _ in range(10)]
    await gate.reached()
    asking.append(asyncio.create_task(ask()))
    gate.open()
    streams = await asyncio.gather(*asking)
    assert all(events == streams[0] for events in streams)
    assert len(model.requests(key)) == 1


async def test_the_same_key_with_another_request_is_refused(client, model, key):
    model.script(key, Answer("Once."))
    headers = {"Idempotency-Key": key}
    await client.responses.create(model=LANGGRAPH, input=prompt(key), extra_headers=headers)
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        await client.responses.create(model=LANGGRAPH, input=prompt(key, "Other."), extra_headers=headers)
    assert caught.value.code == "idempotency_key_reused"


async def test_without_a_key_equal_requests_are_different_turns(client, model, key):
    model.script(key, Answer("One."), Answer("Two."))
    texts = [(await client.responses.create(model=LANGGRAPH, input=prompt(key))).output_text for _ in range(2)]
    assert texts == ["One.", "Two."]
