"""Calls of a client's function tools beside calls of the agent's own."""

import json
from typing import Any

import pytest

from tests.conformance.guarded import agent_id
from tests.conformance.helpers import answer, items_of, prompt, write
from tests.scripted import Answer, Call

LOCATE: dict[str, Any] = {
    "type": "function",
    "name": "getTown",
    "description": "Find where someone is.",
    "parameters": {"type": "object", "properties": {"who": {"type": "string"}}, "required": ["who"]},
}
_WHO = {"who": "me"}


async def _go_on(client, first, call):
    """Send the result of a client's call. Returns the turn that it begins."""
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "Ghent"}
    return await client.responses.create(
        model=first.model, input=[output], tools=[LOCATE], previous_response_id=first.id
    )


@pytest.mark.parametrize("said", [{"strict": True}, {"strict": False}, {"strict": None}, {"output": {}}])
async def test_a_function_may_say_more_of_itself(said, client, model, key):
    parameters = {**LOCATE["parameters"], "additionalProperties": False}
    tool = {**LOCATE, "parameters": parameters, **said}
    model.script(key, Answer(Call("getTown", _WHO)))
    response = await client.responses.create(model="equipped", input=prompt(key), tools=[tool])
    (call,) = items_of(response, "function_call")
    assert (call.name, json.loads(call.arguments)) == ("getTown", _WHO), response.error


async def test_a_tool_beside_one_of_the_clients_runs_first(client, model, key):
    calls = Call("repeat", {"word": "so"}), Call("getTown", _WHO)
    model.script(key, Answer(*calls), Answer("Done."))
    first = await client.responses.create(model="equipped", input=prompt(key), tools=[LOCATE])
    assert sorted(item.type for item in first.output) == ["function_call", "mcp_call"], first.error
    (own,), (call,) = items_of(first, "mcp_call"), items_of(first, "function_call")
    assert (own.output, own.error) == ("so so", None)
    assert (call.name, json.loads(call.arguments)) == ("getTown", _WHO)
    assert len(model.requests(key)) == 1
    assert (await _go_on(client, first, call)).output_text == "Done."
    assert sorted(model.requests(key)[1].texts("tool")) == ["Ghent", "so so"]


async def test_a_client_gets_its_call_after_the_approval_of_one_beside_it(client, model, key, page):
    calls = Call("getTown", _WHO), write(page, "one", "addLine")
    model.script(key, Answer(*calls), Answer("Done."))
    first = await client.responses.create(model="equipped", input=prompt(key), tools=[LOCATE])
    assert [item.type for item in first.output] == ["mcp_approval_request"], first.error
    assert not page.exists()
    second = await answer(client, first, first.output[0], approve=True)
    assert sorted(item.type for item in second.output) == ["function_call", "mcp_call"], second.error
    (own,), (call,) = items_of(second, "mcp_call"), items_of(second, "function_call")
    assert (own.name, own.output) == ("addLine", "wrote one")
    third = await _go_on(client, second, call)
    assert [item.type for item in third.output] == ["message"], third.error
    assert len(page.read_text().splitlines()) == 1
    assert sorted(model.requests(key)[1].texts("tool")) == ["Ghent", "wrote one"]


@pytest.mark.parametrize("framework", ["crewai", "ag2"], indirect=True, scope="session")
async def test_a_client_gets_no_call_beside_one_whose_result_is_the_answer(framework, client, model, key, page):
    model.script(key, Answer(Call("getTown", _WHO), write(page, "one")))
    first = await client.responses.create(model=agent_id("answering"), input=prompt(key), tools=[LOCATE])
    assert [item.type for item in first.output] == ["mcp_approval_request"], first.error
    ended = await answer(client, first, first.output[0], approve=True)
    assert [item.type for item in ended.output] == ["mcp_call", "message"], ended.error
    assert ended.output_text == "wrote one"


@pytest.mark.parametrize(
    ("framework", "agent", "tool", "named", "given"),
    [
        ("crewai", "consulting", "delegate_work_to_coworker", "task", {"context": "None", "coworker": "Writer"}),
        ("ag2", "as_tool", "task_writer", "objective", {}),
        ("beeai", "handoff", "writer", "task", {}),
    ],
    indirect=["framework"],
    scope="session",
)
async def test_a_client_gets_its_call_after_an_approval_in_an_agent_beside_it(
    framework, agent, tool, named, given, client, model, key, page
):
    calls = Call(tool, {named: prompt(key, "Write."), **given}), Call("getTown", _WHO)
    model.script(key, Answer(*calls), Answer(write(page, "one")), Answer("Written."), Answer("Done."))
    first = await client.responses.create(model=agent_id(agent), input=prompt(key), tools=[LOCATE])
    requests = items_of(first, "mcp_approval_request")
    assert ([request.name for request in requests], items_of(first, "function_call")) == (["write"], []), (
        first.error
    )
    second = await answer(client, first, requests[0], approve=True)
    assert {call.name: call.output for call in items_of(second, "mcp_call")} == {
        tool: "Written.",
        "write": "wrote one",
    }
    (call,) = items_of(second, "function_call")
    assert len(model.requests(key)) == 3
    third = await _go_on(client, second, call)
    assert [item.type for item in third.output] == ["message"], third.error
    assert len(page.read_text().splitlines()) == 1


@pytest.mark.parametrize("framework", ["crewai"], indirect=True, scope="session")
async def test_a_client_gets_a_call_that_a_model_without_tool_calls_writes(framework, client, model, key):
    called = "Thought: I look.\nAction: getTown\nAction Input: " + json.dumps(_WHO)
    model.script(key, Answer(called), Answer("Thought: I know.\nFinal Answer: Ghent."))
    first = await client.responses.create(model=agent_id("written"), input=prompt(key), tools=[LOCATE])
    assert [item.type for item in first.output] == ["function_call"], first.error
    (call,) = first.output
    assert (call.name, json.loads(call.arguments)) == ("getTown", _WHO)
    assert len(model.requests(key)) == 1
    assert (await _go_on(client, first, call)).output_text == "Ghent."
    told = 'Action: getTown\nAction Input: {"who": "me"}\nObservation: Ghent'
    assert model.requests(key)[1].texts("assistant") == [told]
