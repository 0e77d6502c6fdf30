"""Agents that go wrong: each turn ends, with a message a person can act on."""

import time

import pytest

from tests.integration.helpers import collect, ended, prompt
from tests.scripted import FOREVER, Answer, Call


def check_failed(response, code, *words):
    assert response.status == "failed"
    assert response.error.reason == code
    for word in words:
        assert word in response.error.message
    assert "Traceback" not in response.error.message


async def test_an_agent_that_raises(client):
    response = await client.responses.create(model="raising", input="Go.")
    check_failed(response, "agent_error", "RuntimeError", "broken on purpose")


async def test_a_stream_of_one_that_raises_ends_in_response_failed(client):
    events = await collect(await client.responses.create(model="raising", input="Go.", stream=True))
    assert events[-1].type == "response.failed"
    check_failed(events[-1].response, "agent_error", "broken on purpose")


async def test_an_agent_that_goes_round(client):
    """A graph with no end and no model call is stopped by the framework's own limit or by time."""
    response = await client.responses.create(model="looping", input="Go.")
    assert response.status == "failed"
    assert response.error.reason in ("step_limit", "time_limit")


async def test_the_step_limit(client, model, key):
    """An agent whose model calls tools for ever, and whose definition allows three model calls."""
    model.script(key, *(Answer(Call("add", {"a": number, "b": 1})) for number in range(10)))
    response = await client.responses.create(model="stepper", input=prompt(key))
    check_failed(response, "step_limit", "3")
    assert len(model.requests(key)) == 3


async def test_the_time_limit(client, model, key):
    model.script(key, Answer("On and ", FOREVER))
    began = time.monotonic()
    response = await client.responses.create(model="hasty", input=prompt(key))
    check_failed(response, "time_limit", "1.5 s", "model openai/scripted-model had not ended its answer")
    assert time.monotonic() - began < 5
    await model.requests(key)[0].wait_closed()


async def test_a_tool_that_raises_is_shown_to_the_model(client, model, key):
    model.script(key, Answer(Call("wrench", {"size": 13})), Answer("No wrench then."))
    response = await client.responses.create(model="wrench", input=prompt(key))
    assert response.output_text == "No wrench then."
    call = response.output[0]
    assert (call.type, call.status) == ("mcp_call", "failed")
    assert "there is no wrench of size 13" in str(call.error)
    (told,) = model.requests(key)[1].texts("tool")
    assert "there is no wrench of size 13" in told


@pytest.mark.parametrize("arguments", ['{"a": 1', '{"a": "one", "b": 2}', "{}"])
async def test_arguments_the_tool_cannot_take_are_shown_to_the_model(client, model, key, arguments):
    model.script(key, Answer(Call("add", arguments)), Answer("I see."))
    response = await client.responses.create(model="calculator", input=prompt(key))
    assert (response.status, response.output_text) == ("completed", "I see.")


async def test_a_tool_the_agent_does_not_have_is_shown_to_the_model(client, model, key):
    model.script(key, Answer(Call("fly", {})), Answer("I cannot."))
    response = await client.responses.create(model="calculator", input=prompt(key))
    assert (response.status, response.output_text) == ("completed", "I cannot.")


async def test_the_worker_goes_on_after_all_of_them(client, model, key):
    model.script(key, Answer("Still here."))
    for _ in range(3):
        await client.responses.create(model="raising", input="Go.")
    response = await client.responses.create(model="plain", input=prompt(key), background=True)
    assert (await ended(client, response.id)).output_text == "Still here."


async def test_a_turn_that_calls_more_tools_than_it_may(client, model, key):
    calls = [Answer(Call("add", {"a": 1, "b": n})) for n in range(3)]
    model.script(key, *calls)
    response = await client.responses.create(model="frugal", input=prompt(key))
    check_failed(response, "budget_exceeded", "1 tool calls")
    assert len(model.requests(key)) == 2


async def test_a_turn_that_uses_more_tokens_than_it_may(client, model, key):
    call = Call("add", {"a": 1, "b": 2})
    model.script(key, Answer(call, usage=(50, 20)), Answer("Never asked."))
    response = await client.responses.create(model="frugal", input=prompt(key))
    check_failed(response, "budget_exceeded", "70 tokens", "limit is 60")
    assert response.usage.total_tokens == 70
    assert len(model.requests(key)) == 1
