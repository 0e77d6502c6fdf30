"""Streams are complete, in order and without gaps. What their fields must be: ``open_responses``."""

import pytest

from tests.integration.helpers import EVERY_AGENT, check_sequence, collect, prompt
from tests.scripted import Answer, Call

MESSAGE = [
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
]
MCP_CALL = [
    "response.output_item.added",
    "response.mcp_call.in_progress",
    "response.mcp_call_arguments.delta",
    "response.mcp_call_arguments.done",
    "response.mcp_call.completed",
    "response.output_item.done",
]


def runs(types):
    """The types with repetitions next to one another taken out."""
    return [type_ for at, type_ in enumerate(types) if not at or types[at - 1] != type_]


@pytest.mark.parametrize("agent", EVERY_AGENT)
async def test_the_events_of_a_message(client, model, key, agent):
    model.script(key, Answer("One ", "two ", "three."))
    events = await collect(await client.responses.create(model=agent, input=prompt(key), stream=True))
    assert runs([event.type for event in events]) == [
        "response.created",
        "response.in_progress",
        *MESSAGE,
        "response.completed",
    ]
    check_sequence(events)
    item = events[-2].item
    ids = {event.item_id for event in events if hasattr(event, "item_id")}
    assert ids == {item.id}
    assert {event.output_index for event in events if hasattr(event, "output_index")} == {0}
    assert [event.delta for event in events if event.type.endswith("text.delta")] == ["One ", "two ", "three."]
    assert events[-1].response.output == [item]


async def test_the_events_of_a_tool_that_runs_in_the_worker(client, model, key):
    model.script(key, Answer(Call("multiply", {"a": 17, "b": 23})), Answer("It is 391."))
    stream = await client.responses.create(model="calculator", input=prompt(key), stream=True)
    events = await collect(stream)
    assert runs([event.type for event in events]) == [
        "response.created",
        "response.in_progress",
        *MCP_CALL,
        *MESSAGE,
        "response.completed",
    ]
    check_sequence(events)
    call, message = events[-1].response.output
    assert (call.type, call.name, call.server_label) == ("mcp_call", "multiply", "calculator")
    assert call.arguments == '{"a": 17, "b": 23}'
    assert float(call.output) == 391
    assert (call.error, call.status) == (None, "completed")
    deltas = [event.delta for event in events if event.type == "response.mcp_call_arguments.delta"]
    assert "".join(deltas) == call.arguments
    assert message.content[0].text == "It is 391."


async def test_text_before_a_call_and_several_calls_one_after_another(client, model, key):
    model.script(
        key,
        Answer("First I add. ", Call("add", {"a": 1, "b": 2})),
        Answer("Then I multiply. ", Call("multiply", {"a": 3, "b": 4})),
        Answer("Twelve."),
    )
    stream = await client.responses.create(model="calculator", input=prompt(key), stream=True)
    events = await collect(stream)
    check_sequence(events)
    output = events[-1].response.output
    assert [item.type for item in output] == ["message", "mcp_call", "message", "mcp_call", "message"]
    added = [event.item.id for event in events if event.type == "response.output_item.added"]
    done = {event.item.id for event in events if event.type == "response.output_item.done"}
    assert added == [item.id for item in output]
    assert done == set(added)


async def test_parallel_calls_each_get_their_own_result(client, model, key):
    calls = [Call("add", {"a": number, "b": 100}) for number in range(5)]
    model.script(key, Answer(*calls), Answer("All."))
    stream = await client.responses.create(model="calculator", input=prompt(key), stream=True)
    events = await collect(stream)
    check_sequence(events)
    output = events[-1].response.output
    assert [item.type for item in output] == ["mcp_call"] * 5 + ["message"]
    assert [float(item.output) for item in output[:5]] == [100, 101, 102, 103, 104]
    results = [message for message in model.requests(key)[1].messages if message["role"] == "tool"]
    assert len(results) == 5


@pytest.mark.parametrize("agent", EVERY_AGENT)
async def test_usage_is_the_models_own(client, model, key, agent):
    model.script(key, Answer("Yes.", usage=(123, 45)))
    usage = (await client.responses.create(model=agent, input=prompt(key))).usage
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (123, 45, 168)


async def test_usage_is_summed_over_the_calls_of_a_turn(client, model, key):
    model.script(key, Answer(Call("add", {"a": 1, "b": 2}), usage=(100, 10)), Answer("Three.", usage=(130, 3)))
    usage = (await client.responses.create(model="calculator", input=prompt(key))).usage
    assert (usage.input_tokens, usage.output_tokens) == (230, 13)
