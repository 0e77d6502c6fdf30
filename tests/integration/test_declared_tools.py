"""Tools of definitions: functions, MCP servers and other agents, whatever the framework."""

import json
import os

import pytest
from openai import BadRequestError

from tests.integration.helpers import ON_ONE_HOST, collect, prompt
from tests.scripted import Answer, Call

BOTH = ("equipped-langgraph", "equipped-llama-stack")


def outputs(response):
    """What each tool of a response gave, by its name."""
    return {item.name: item.output for item in response.output if item.type == "mcp_call"}


@pytest.mark.parametrize("agent", BOTH)
async def test_an_agent_uses_tools_of_every_kind(client, model, key, agent):
    other = f"{key}-other"
    model.script(other, Answer("The other says hello.", usage=(100, 50)))
    calls = (
        Call("multiply", {"a": 6, "b": 7}, id="c1"),
        Call("key", {}, id="c2"),
        Call("add", {"a": 1, "b": 2}, id="c3"),
        Call("ask", {"input": prompt(other, "What do you say?")}, id="c4"),
    )
    model.script(key, Answer(*calls), Answer("Done."))
    events = await collect(await client.responses.create(model=agent, input=prompt(key), stream=True))
    response = events[-1].response
    assert response.output_text == "Done."
    came = outputs(response)
    # The key that a server finds in the call is the turn's and the call's.
    assert came.pop("key").startswith(f"{response.id}:")
    assert came == {"multiply": "42", "add": "sum=3", "ask": "The other says hello."}
    assert model.requests(key)[1].texts("tool") == list(outputs(response).values())
    # Two answers of its own and the other agent's.
    assert (response.usage.input_tokens, response.usage.output_tokens) == (11 * 2 + 100, 7 * 2 + 50)


@pytest.mark.parametrize("agent", BOTH)
async def test_the_model_is_told_of_each_tool_what_is_known(client, model, key, agent):
    model.script(key, Answer("Well."))
    await client.responses.create(model=agent, input=prompt(key))
    told = {tool["function"]["name"]: tool["function"] for tool in model.requests(key)[0].body["tools"]}
    assert list(told) == ["multiply", "ask", "ask_guarded", "pid", "key", "note", "add"]
    assert told["multiply"]["description"] == "Multiply two numbers."
    assert told["multiply"]["parameters"]["properties"]["a"] == {"type": "integer", "description": "the one."}
    assert told["pid"]["description"] == "The process that answers."
    assert told["ask_guarded"]["description"] == "Writes lines to files once a person approves."
    assert told["ask"]["parameters"]["required"] == ["input"]


@pytest.mark.parametrize("agent", BOTH)
async def test_what_a_tool_refuses_is_for_the_model_to_read(client, model, key, agent):
    calls = Call("multiply", {"a": "six"}, id="c1"), Call("ask", {"question": "?"}, id="c2")
    model.script(key, Answer(*calls), Answer("I see."))
    response = await client.responses.create(model=agent, input=prompt(key))
    errors = [item.error for item in response.output if item.type == "mcp_call"]
    assert errors[0].startswith("the arguments do not fit: ")
    assert errors[1] == "input: is missing; it is what the agent is asked, as text"
    assert response.output_text == "I see."


@pytest.mark.parametrize("agent", BOTH)
async def test_a_tool_of_a_server_waits_for_approval(client, model, key, agent, tmp_path):
    page = tmp_path / "page.txt"
    model.script(key, Answer(Call("note", {"path": str(page), "line": "one"})), Answer("Noted."))
    first = await client.responses.create(model=agent, input=prompt(key))
    (request,) = [item for item in first.output if item.type == "mcp_approval_request"]
    assert (request.name, json.loads(request.arguments)["line"]) == ("note", "one")
    assert not page.exists()
    answer = {"type": "mcp_approval_response", "approval_request_id": request.id, "approve": True}
    second = await client.responses.create(model=agent, previous_response_id=first.id, input=[answer])
    assert second.output_text == "Noted."
    assert page.read_text() == "one\n"


@pytest.mark.parametrize("agent", BOTH)
async def test_nothing_is_no_answer_in_the_form_that_the_request_asks_for(client, model, key, agent, tmp_path):
    call = Call("note", {"path": str(tmp_path / "page.txt"), "line": "one"})
    model.script(key, Answer("I shall note it. ", call), Answer(""))
    form = {"format": {"type": "json_object"}}
    first = await client.responses.create(model=agent, input=prompt(key), text=form)
    (request,) = [item for item in first.output if item.type == "mcp_approval_request"]
    answer = {"type": "mcp_approval_response", "approval_request_id": request.id, "approve": False}
    second = await client.responses.create(model=agent, previous_response_id=first.id, input=[answer], text=form)
    assert second.status == "failed"
    assert second.error.message == "text.format: the request asks for JSON, and the agent answered nothing"


async def test_a_server_that_is_away_ends_the_turn_and_is_named(client, key):
    response = await client.responses.create(model="lost", input=prompt(key))
    assert (response.status, response.error.reason) == ("failed", "mcp_server_error")
    assert response.error.message == (
        "tool 'nowhere': the MCP server http://127.0.0.1:9/mcp cannot be reached (ConnectError)"
    )


async def test_a_tool_of_the_request_may_not_have_the_name_of_one(client, key):
    mine = {"type": "function", "name": "multiply", "parameters": {"type": "object", "properties": {}}}
    with pytest.raises(BadRequestError) as caught:
        await client.responses.create(model=BOTH[0], input=prompt(key), tools=[mine])
    assert caught.value.param == "tools[0].name"
    assert "itself has a tool 'multiply'" in caught.value.message


@ON_ONE_HOST
async def test_a_program_ends_with_its_worker(own_stack, model, key):
    server, worker = own_stack.add_server(), own_stack.add_worker("langgraph")
    model.script(key, *[step for _ in range(2) for step in (Answer(Call("pid")), Answer("Done."))])
    async with server.openai() as client:
        responses = [await client.responses.create(model=BOTH[0], input=prompt(key)) for _ in range(2)]
    first, second = (int(outputs(response)["pid"]) for response in responses)
    assert first == second
    os.kill(first, 0)
    worker.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)
