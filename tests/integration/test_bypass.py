"""A tool that is run past the tool boundary: nothing that the definition could ask holds for it."""

from tests.integration.helpers import prompt
from tests.scripted import Answer, Call


async def test_a_call_that_code_answers_by_itself_ends_the_turn_naming_tool_and_place(client, model, key):
    model.script(key, Answer(Call("pay", {"amount": 5})), Answer("Paid."))
    response = await client.responses.create(model="handmade", input=prompt(key))
    assert response.status == "failed"
    assert response.error.reason == "tool_bypassed"
    assert "the tool 'pay'" in response.error.message
    assert "tests.agents.handmade:agent" in response.error.message
    assert "boundary: none" in response.error.message
    assert len(model.requests(key)) == 1


async def test_a_data_class_is_no_tool(client, model, key):
    model.script(key, Answer(Call("Escalate", {"reason": "?"})), Answer("They do it."))
    response = await client.responses.create(model="handmade", input=prompt(key))
    assert (response.status, response.output_text) == ("completed", "They do it.")


async def test_a_definition_may_let_a_tool_pass(client, model, key):
    model.script(key, Answer(Call("pay", {"amount": 5})), Answer("Paid."))
    response = await client.responses.create(model="waived", input=prompt(key))
    assert (response.status, response.output_text) == ("completed", "Paid.")


async def test_a_ruled_call_that_never_came_to_the_boundary_ends_the_turn(client, model, key):
    model.script(key, Answer(Call("pay", {"amount": 5})))
    response = await client.responses.create(model="handended", input=prompt(key))
    assert response.status == "failed"
    assert response.error.reason == "tool_bypassed"
    assert "the tool 'pay'" in response.error.message
    assert "tests.agents.handmade:ending" in response.error.message


async def test_a_call_that_no_rule_is_about_may_be_left(client, model, key):
    model.script(key, Answer(Call("Escalate", {"reason": "?"})))
    response = await client.responses.create(model="handended", input=prompt(key))
    assert response.status == "completed"
