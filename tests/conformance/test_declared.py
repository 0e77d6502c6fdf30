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
    (offered,) = model.requests(key)[0].body["tools"]
    assert offered["function"]["parameters"]["properties"].keys() == {"title"}
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "Jane Austen"}
    second = await client.responses.create(
        model="declared", input=[output], tools=[LOOK_UP], previous_response_id=first.id
    )
    assert second.output_text == "By Austen."
    assert model.requests(key)[1].texts("tool") == ["Jane Austen"]


async def test_its_tools_are_functions_servers_and_agents(client, model, key):
    other = f"{key}-other"
    model.script(other, Answer("By Austen.", usage=(100, 50)))
    calls = (
        Call("repeat", {"word": "so"}, id="c1"),
        Call("key", {}, id="c2"),
        Call("librarian", {"input": prompt(other, "Who wrote Emma?")}, id="c3"),
        Call("repeat", {"word": "so", "times": "often"}, id="c4"),
    )
    model.script(key, *(Answer(call) for call in calls), Answer("Done."))
    response = await client.responses.create(model="equipped", input=prompt(key))
    assert response.output_text == "Done."
    called = items_of(response, "mcp_call")
    assert [item.output for item in called[:3]] == ["so so", f"{response.id}:c2", "By Austen."]
    assert "times" in (called[3].error or called[3].output)
    assert response.usage.total_tokens == 18 * 5 + 150
    offered = {tool["function"]["name"]: tool["function"] for tool in model.requests(key)[0].body["tools"]}
    assert offered.keys() == {"repeat", "key", "librarian"}
    assert offered["repeat"]["parameters"]["required"] == ["word"]
