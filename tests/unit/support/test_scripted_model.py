"""The scripted model keeps to its scripts: what the other tests stand on."""

import asyncio

import httpx
import openai
import pytest

from tests.scripted import FOREVER, HANG_UP, Answer, Call, Gate, Refuse, ScriptedModel

TOOL = {
    "type": "function",
    "function": {
        "name": "multiply",
        "parameters": {"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "number"}}},
    },
}


@pytest.fixture
def model():
    server = ScriptedModel()
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def client(model):
    async with openai.AsyncOpenAI(base_url=model.base_url, api_key="none", max_retries=0) as made:
        yield made


async def ask(client, text, **parameters):
    messages = [{"role": "user", "content": text}]
    return await client.chat.completions.create(model="scripted-model", messages=messages, **parameters)


async def test_default_answers_call_the_tool_then_give_its_result(client):
    first = await ask(client, "What is 17 times 23?", tools=[TOOL])
    call = first.choices[0].message.tool_calls[0]
    assert (call.function.name, call.function.arguments) == ("multiply", '{"a": 17, "b": 23}')
    messages = [
        {"role": "user", "content": "What is 17 times 23?"},
        first.choices[0].message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "391"},
    ]
    second = await client.chat.completions.create(model="scripted-model", messages=messages, tools=[TOOL])
    assert second.choices[0].message.content == "The answer is 391."


async def test_a_stream_carries_text_parallel_calls_in_pieces_and_usage(model, client):
    model.script("s", Answer("Let ", "me.", Call("a", {"x": 1}), Call("b", {"y": 2}), usage=(3, 4)))
    stream = await ask(client, "[[s]]", stream=True, stream_options={"include_usage": True})
    chunks = [chunk async for chunk in stream]
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert "".join(delta.content or "" for delta in deltas) == "Let me."
    pieces = [call for delta in deltas for call in delta.tool_calls or ()]
    for index, text in ((0, '{"x": 1}'), (1, '{"y": 2}')):
        assert "".join(piece.function.arguments for piece in pieces if piece.index == index) == text
    assert chunks[-1].usage.total_tokens == 7


async def test_a_gate_holds_and_a_closed_stream_is_seen(model, client):
    gate = Gate()
    model.script("g", Answer("a", gate, "b"), Answer(FOREVER))
    stream = await ask(client, "[[g]]", stream=True)
    await gate.reached()
    gate.open()
    assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == "ab"
    async with await ask(client, "[[g]]", stream=True) as endless:
        await anext(aiter(endless))
    await model.requests("g")[1].wait_closed()


async def test_refusals_hang_ups_and_an_ended_script(model, client):
    model.script("r", Refuse(429, retry_after=3), Answer("x", HANG_UP))
    with pytest.raises(openai.RateLimitError) as refused:
        await ask(client, "[[r]]")
    assert refused.value.response.headers["retry-after"] == "3"
    stream = await ask(client, "[[r]]", stream=True)
    with pytest.raises((openai.APIConnectionError, httpx.RemoteProtocolError)):
        async for _ in stream:
            pass
    with pytest.raises(openai.BadRequestError, match="no step 2"):
        await ask(client, "[[r]]")


async def test_keys_do_not_cross(model, client):
    for number in range(20):
        model.script(f"k{number}", Answer(f"answer {number}"))
    answers = await asyncio.gather(*(ask(client, f"[[k{number}]]") for number in range(20)))
    assert [answer.choices[0].message.content for answer in answers] == [
        f"answer {number}" for number in range(20)
    ]
