"""What goes wrong ends the turn with words a person can act on, or does not end it."""

import pytest

from tests.conformance.helpers import prompt
from tests.scripted import HANG_UP, Answer, Call, Refuse


async def test_an_agent_that_raises_fails_its_turn(client):
    response = await client.responses.create(model="raising", input="Try.")
    assert response.status == "failed"
    assert response.error.code == "agent_error"
    assert "broken on purpose" in response.error.message


@pytest.mark.parametrize("status", [400, 500])
async def test_a_model_that_refuses_fails_the_turn(client, model, key, status):
    model.script(key, *(Refuse(status, "no more of this") for _ in range(30)))
    response = await client.responses.create(model="plain", input=prompt(key))
    assert response.status == "failed"
    assert response.error.code == "model_error"
    assert "scripted-model" in response.error.message


async def test_a_model_that_hangs_up_fails_the_turn(client, model, key):
    model.script(key, *(Answer("Half an ", HANG_UP) for _ in range(30)))
    response = await client.responses.create(model="plain", input=prompt(key))
    assert response.status == "failed"
    assert response.error.code == "model_error"


async def test_a_model_that_is_busy_is_asked_again(client, model, key):
    model.script(key, Refuse(429, "busy", retry_after=0), Answer("Now."))
    response = await client.responses.create(model="plain", input=prompt(key))
    assert response.output_text == "Now."


async def test_a_turn_may_make_so_many_model_calls(client, model, key):
    """The definition's limit is 25, and the model asks for a tool each time."""
    model.script(key, *(Answer(Call("add", {"a": number, "b": 1})) for number in range(30)))
    response = await client.responses.create(model="calculator", input=prompt(key))
    assert response.status == "failed"
    assert response.error.code == "step_limit"
    assert len(model.requests(key)) == 25


async def test_arguments_that_cannot_be_read_do_not_end_the_turn(client, model, key):
    model.script(key, Answer(Call("add", '{"a": 1, "b"')), Answer("Sorry."))
    response = await client.responses.create(model="calculator", input=prompt(key))
    assert (response.status, response.output_text) == ("completed", "Sorry.")
