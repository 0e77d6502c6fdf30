"""Turns that run at the same time never cross, and a client that goes away ends nothing."""

import asyncio

import pytest

from tests.integration.helpers import IMPLICIT, LLAMA_STACK, check_sequence, collect, ended, prompt
from tests.scripted import Answer, Call, Gate


@pytest.mark.parametrize("agent", ["calculator", LLAMA_STACK, IMPLICIT])
async def test_twenty_turns_of_one_agent_at_once(client, model, key, agent):
    """All wait at one gate, so that all are under way together; then each gets its own words."""
    gate = Gate()
    keys = [f"{key}n{number}" for number in range(20)]
    for number, own in enumerate(keys):
        last = Answer(f"I am {number} ", "and ", f"{number}.", usage=(100 + number, number))
        if agent == "calculator":
            model.script(own, Answer(Call("add", {"a": number, "b": 1000}), gate), last)
        else:
            model.script(own, Answer(gate, *last.parts, usage=last.usage))

    async def turn(own):
        return await collect(await client.responses.create(model=agent, input=prompt(own), stream=True))

    turns = [asyncio.create_task(turn(own)) for own in keys]
    for own in keys:
        await model.request(own)
    gate.open()
    for number, events in enumerate(await asyncio.gather(*turns)):
        check_sequence(events)
        response = events[-1].response
        assert response.output_text == f"I am {number} and {number}."
        assert response.usage.output_tokens == (number + 7 if agent == "calculator" else number)
        if agent == "calculator":
            assert float(response.output[0].output) == number + 1000
    for own in keys:
        assert all(request.texts("user") == [prompt(own)] for request in model.requests(own))


async def test_a_client_that_goes_away_does_not_end_its_turn(client, model, key):
    gate = Gate()
    model.script(key, Answer("Half ", gate, "whole."))
    stream = await client.responses.create(model="plain", input=prompt(key), stream=True)
    first = await anext(aiter(stream))
    await gate.reached()
    await stream.close()
    gate.open()
    assert (await ended(client, first.response.id)).output_text == "Half whole."
    assert not model.requests(key)[0].closed_by_client.is_set()


async def test_nor_does_one_that_waited_for_the_whole_answer(client, http, model, key):
    gate = Gate()
    model.script(key, Answer(gate, "Whole."))
    body = {"model": "plain", "input": prompt(key)}
    waiting = asyncio.create_task(http.post("/v1/responses", json=body))
    await gate.reached()
    waiting.cancel()
    await asyncio.wait({waiting})
    listed = (await http.get("/v1/responses", params={"limit": 100, "model": "plain"})).json()["data"]
    (own,) = [response for response in listed if key in str(response["input"])]
    gate.open()
    assert (await ended(client, own["id"])).output_text == "Whole."
