"""Tools: told with their arguments, run once, alone or in parallel; their failures are the model's to see."""

import json

import pytest

from tests.conformance.capabilities import ARGUMENT_DELTAS, PARALLEL_TOOLS
from tests.conformance.helpers import check_sequence, collect, eventually, items_of, prompt, write
from tests.scripted import Answer, Call


async def test_a_call_is_told_with_its_arguments_and_its_result(client, model, key):
    model.script(key, Answer(Call("add", {"a": 19, "b": 23})), Answer("It is ", "42."))
    events = await collect(await client.responses.create(model="calculator", input=prompt(key), stream=True))
    check_sequence(events)
    response = events[-1].response
    (call,) = items_of(response, "mcp_call")
    assert (call.name, json.loads(call.arguments)) == ("add", {"a": 19, "b": 23})
    assert float(call.output) == 42
    assert response.output_text == "It is 42."
    (result,) = model.requests(key)[1].texts("tool")
    assert float(result) == 42


@pytest.mark.capability(ARGUMENT_DELTAS)
async def test_arguments_are_streamed(client, model, key):
    model.script(key, Answer(Call("add", {"a": 19, "b": 23}, pieces=3)), Answer("Done."))
    events = await collect(await client.responses.create(model="calculator", input=prompt(key), stream=True))
    deltas = [e.delta for e in events if e.type == "response.mcp_call_arguments.delta"]
    assert len(deltas) > 1
    assert json.loads("".join(deltas)) == {"a": 19, "b": 23}


async def test_tools_in_sequence(client, model, key):
    model.script(
        key,
        Answer("First. ", Call("add", {"a": 1, "b": 2})),
        Answer("Then. ", Call("multiply", {"a": 3, "b": 4})),
        Answer("Done."),
    )
    response = await client.responses.create(model="calculator", input=prompt(key))
    assert [call.name for call in items_of(response, "mcp_call")] == ["add", "multiply"]
    assert [float(call.output) for call in items_of(response, "mcp_call")] == [3, 12]
    assert len(model.requests(key)) == 3


@pytest.mark.capability(PARALLEL_TOOLS)
async def test_tools_of_one_answer_run_at_the_same_time(client, model, key, page):
    model.script(key, Answer(write(page, "one", "linger"), write(page, "two", "linger")), Answer("Both."))
    turn = await client.responses.create(model="scribe", input=prompt(key), background=True)

    async def lines():
        return page.read_text().splitlines() if page.exists() else []

    # Neither comes back before both have begun.
    await eventually(lines, lambda found: len(found) == 2)
    page.with_suffix(".go").touch()
    events = await collect(await client.responses.retrieve(turn.id, stream=True))
    check_sequence(events)
    calls = items_of(events[-1].response, "mcp_call")
    assert [call.output for call in calls] == ["wrote one", "wrote two"]
    assert model.requests(key)[1].texts("tool") == ["wrote one", "wrote two"]


async def test_equal_calls_of_one_answer_both_run(client, model, key, page):
    model.script(key, Answer(write(page, "same"), write(page, "same")), Answer("Both."))
    response = await client.responses.create(model="scribe", input=prompt(key))
    assert response.output_text == "Both."
    assert len(set(page.read_text().splitlines())) == 2
    assert len(items_of(response, "mcp_call")) == 2


async def test_a_tool_that_raises_is_a_result_the_model_sees(client, model, key):
    model.script(key, Answer(Call("fail", {"reason": "rain"})), Answer("I see."))
    response = await client.responses.create(model="calculator", input=prompt(key))
    assert (response.status, response.output_text) == ("completed", "I see.")
    (call,) = items_of(response, "mcp_call")
    assert "it failed: rain" in call.error
    assert "it failed: rain" in model.requests(key)[1].texts("tool")[0]


async def test_a_tool_that_is_not_there_does_not_end_the_turn(client, model, key):
    model.script(key, Answer(Call("subtract", {"a": 1, "b": 2})), Answer("Then not."))
    response = await client.responses.create(model="calculator", input=prompt(key))
    assert (response.status, response.output_text) == ("completed", "Then not.")
