"""Function tools that run on the client: ``function_call`` out, ``function_call_output`` back."""

import openai
import pytest

from tests.integration.helpers import IMPLICIT, LLAMA_STACK, check_sequence, collect, prompt
from tests.scripted import Answer, Call

AGENTS = ("declared", "workshop", LLAMA_STACK, IMPLICIT)
"""Agents that can be given tools: all but a graph that was finished when its module was imported."""

WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a town.",
    "parameters": {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]},
}


async def first_half(client, model, key, agent, **extra):
    """A turn that ends in a call of the client's tool; its events."""
    model.script(key, Answer(Call("get_weather", {"town": "Ghent"})), Answer("Rain."))
    stream = await client.responses.create(model=agent, input=prompt(key), tools=[WEATHER], stream=True, **extra)
    return await collect(stream)


@pytest.mark.parametrize("agent", AGENTS)
async def test_the_call_comes_as_an_item(client, model, key, agent):
    events = await first_half(client, model, key, agent)
    check_sequence(events)
    response = events[-1].response
    (call,) = response.output
    assert (response.status, call.type, call.name) == ("completed", "function_call", "get_weather")
    assert call.arguments == '{"town": "Ghent"}'
    deltas = [event.delta for event in events if event.type == "response.function_call_arguments.delta"]
    assert "".join(deltas) == call.arguments
    offered = [tool["function"]["name"] for tool in model.requests(key)[0].body["tools"]]
    assert [name for name in offered if name not in ("add", "multiply")] == ["get_weather"]


@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize("way", ["previous_response_id", "conversation", "input"])
async def test_the_result_goes_back(client, model, key, agent, way):
    extra = {"conversation": (await client.conversations.create()).id} if way == "conversation" else {}
    response = (await first_half(client, model, key, agent, **extra))[-1].response
    call = response.output[0]
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "rain, 9 degrees"}
    sent = [output]
    if way == "previous_response_id":
        extra = {"previous_response_id": response.id}
    elif way == "input":
        sent = [{"role": "user", "content": prompt(key)}, call.to_dict(), output]
    second = await client.responses.create(model=agent, input=sent, tools=[WEATHER], **extra)
    assert second.output_text == "Rain."
    messages = model.requests(key)[1].messages
    (asked,) = [called for message in messages for called in message.get("tool_calls") or ()]
    (told,) = [message for message in messages if message["role"] == "tool"]
    assert asked["id"] == told["tool_call_id"] == call.call_id
    assert "rain, 9 degrees" in str(told["content"])


async def test_a_client_tool_beside_the_agents_own(client, model, key):
    """The agent's own tool runs; the client's ends the turn."""
    model.script(
        key,
        Answer(Call("add", {"a": 1, "b": 2})),
        Answer(Call("get_weather", {"town": "Ghent"})),
        Answer("Three and rain."),
    )
    first = await client.responses.create(model="workshop", input=prompt(key), tools=[WEATHER])
    assert [item.type for item in first.output] == ["mcp_call", "function_call"]
    output = {"type": "function_call_output", "call_id": first.output[1].call_id, "output": "rain"}
    second = await client.responses.create(
        model="workshop", input=[output], previous_response_id=first.id, tools=[WEATHER]
    )
    assert second.output_text == "Three and rain."


async def test_a_finished_graph_says_that_it_takes_no_tools(client, model, key):
    """Its code bound its tools long ago; to leave the client's out silently would be worse."""
    model.script(key, Answer("Not asked."))
    with pytest.raises(openai.BadRequestError) as refused:
        await client.responses.create(model="plain", input=prompt(key), tools=[WEATHER])
    assert refused.value.param == "tools"
    assert model.requests(key) == []
