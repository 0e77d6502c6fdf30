"""The same definition without any code runs in every framework."""

import json

import pytest

from tests.conformance.capabilities import CLIENT_TOOLS
from tests.conformance.helpers import items_of, prompt
from tests.scripted import Answer, Call

LOOK_UP = {
    "type": "function",
    "name": "look_up",
    "description": "Find a book.",
    "parameters": {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]},
}


async def test_its_prompt_is_the_systems(client, model, key):
    model.script(key, Answer("Yes."))
    response = await client.responses.create(model="declared", input=prompt(key))
    assert response.output_text == "Yes."
    assert any("You know every book." in text for text in model.requests(key)[0].texts("system"))


async def test_parameters_of_the_request_go_before_the_definitions(client, model, key):
    await client.responses.create(model="declared", input=prompt(key), temperature=0.25, max_output_tokens=99)
    body = model.requests(key)[0].body
    assert (body["temperature"], body["top_p"], body["max_tokens"]) == (0.25, 0.5, 99)


@pytest.mark.capability(CLIENT_TOOLS)
async def test_the_clients_tools_end_the_turn_and_their_results_go_on(client, model, key):
    model.script(key, Answer(Call("look_up", {"title": "Emma"}, id="call_7")), Answer("By Austen."))
    first = await client.responses.create(model="declared", input=prompt(key), tools=[LOOK_UP])
    (call,) = items_of(first, "function_call")
    assert (call.name, json.loads(call.arguments)) == ("look_up", {"title": "Emma"})
    assert first.status == "completed"
    offered = {tool["function"]["name"]: tool["function"] for tool in model.requests(key)[0].body["tools"]}
    assert offered["look_up"]["parameters"]["properties"].keys() == {"title"}
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "Jane Austen"}
    second = await client.responses.create(
        model="declared", input=[output], tools=[LOOK_UP], previous_response_id=first.id
    )
    assert second.output_text == "By Austen."
    assert model.requests(key)[1].texts("tool") == ["Jane Austen"]
