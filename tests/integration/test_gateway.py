"""The model gateway as agent code finds it: an address and a key that are worth nothing elsewhere."""

import json

import httpx
import pytest

from tests.integration.helpers import prompt
from tests.scripted import Answer, Call, Gate, Raw


async def what_code_sees(client, model, key):
    """The environment the spy agent's tool tells of."""
    model.script(key, Answer(Call("look", {})), Answer("Seen."))
    response = await client.responses.create(model="spy", input=prompt(key))
    return json.loads(response.output[0].output)


async def test_an_unchanged_module_level_graph_uses_the_definitions_model(client, model, key):
    """Its code says ``ChatOpenAI(model="somebody-elses-model")`` and nothing of us."""
    model.script(key, Answer(Call("add", {"a": 1, "b": 2})), Answer("Three."))
    response = await client.responses.create(model="calculator", input=prompt(key))
    assert response.output_text == "Three."
    assert {request.body["model"] for request in model.requests(key)} == {"scripted-model"}


async def test_agent_code_never_sees_the_credential(client, model, key):
    seen = await what_code_sees(client, model, key)
    assert seen["OPENAI_BASE_URL"].startswith("http://127.0.0.1:")
    assert "upstream-credential" not in seen.values()
    for request in model.requests(key):
        assert request.headers["authorization"] == "Bearer upstream-credential"


async def test_what_code_sees_opens_nothing_from_outside(client, model, key):
    """Neither the key in the environment, nor none, nor a made-up one, once no turn stands behind it."""
    seen = await what_code_sees(client, model, key)
    before = len(model.requests())
    body = {"model": "scripted-model", "messages": [{"role": "user", "content": "Free tokens?"}]}
    async with httpx.AsyncClient(base_url=seen["OPENAI_BASE_URL"]) as outside:
        for secret in (seen["OPENAI_API_KEY"], "amf-made-up", None):
            headers = {"authorization": f"Bearer {secret}"} if secret else {}
            answer = await outside.post("/chat/completions", json=body, headers=headers)
            assert answer.status_code == 401
    assert len(model.requests()) == before


async def test_a_running_turns_header_is_not_sent_on_to_the_model(client, model, key):
    model.script(key, Answer("Yes."))
    await client.responses.create(model="plain", input=prompt(key))
    (request,) = model.requests(key)
    assert [name for name in request.headers if name.startswith("x-amf")] == []
    assert "amf-" not in request.headers["authorization"]


SIGNED = {"google": {"thought_signature": "sent with the call, and wanted back with it"}}
DETAILS = [{"type": "reasoning.encrypted", "data": "xyz", "format": "anthropic-claude-v1", "index": 0}]


@pytest.mark.parametrize("agent", ["calculator", "equipped-llama-stack"])
async def test_what_an_endpoint_added_to_a_call_comes_back_to_it(client, model, key, agent):
    """Gemini refuses to go on with a call of its own that is not signed as it was."""
    function = {"name": "multiply", "arguments": '{"a": 1, "b": 2}'}
    call = {"index": 0, "id": "call_1", "type": "function", "function": function, "extra_content": SIGNED}
    delta = {"role": "assistant", "reasoning": "I count.", "reasoning_details": DETAILS, "tool_calls": [call]}
    chunk = Raw({"choices": [{"index": 0, "delta": delta, "finish_reason": "tool_calls"}]})
    model.script(key, Answer(chunk, finish=""), Answer("Three."))
    response = await client.responses.create(model=agent, input=prompt(key))
    assert response.output_text == "Three."
    (said,) = [message for message in model.requests(key)[1].messages if message.get("tool_calls")]
    assert said["tool_calls"][0]["extra_content"] == SIGNED
    assert (said["reasoning"], said["reasoning_details"]) == ("I count.", DETAILS)


@pytest.mark.parametrize("stream", [False, True])
async def test_all_fields_of_a_message_come_through_the_server(http, model, key, stream):
    cached = {"cache_control": {"type": "ephemeral", "ttl": None}}
    function = {"name": "look", "arguments": "{}", "x": 1}
    call = {"id": "a", "type": "function", "function": function, "extra_content": SIGNED}
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,", "format": "png"}, **cached}
    messages = [
        {"role": "system", "content": [{"type": "text", "text": "Look.", **cached}], **cached},
        {"role": "developer", "content": [{"type": "text", "text": "Look well.", **cached}], **cached},
        {"role": "user", "content": [{"type": "text", "text": prompt(key), **cached}, image], "name": "me"},
        {
            "role": "assistant",
            "content": [{"type": "text", "text": "I look.", **cached}],
            "tool_calls": [call],
            "reasoning_content": "Hm.",
            "reasoning_details": DETAILS,
            "thinking_blocks": [{"type": "thinking", "thinking": "Hm.", "signature": "S"}],
            "extra_content": SIGNED,
        },
        {
            "role": "tool",
            "tool_call_id": "a",
            "content": [{"type": "text", "text": "1"}],
            "name": "look",
            **cached,
        },
    ]
    model.script(key, Answer("Seen."))
    body = {"model": "openai/scripted-model", "messages": messages, "stream": stream}
    answer = await http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200
    (request,) = model.requests(key)
    assert request.messages == messages


async def test_tokens_are_counted_although_the_agent_did_not_ask(client, http, model, key):
    """The gateway asks for the figures of every streamed call, and they are there while the turn runs."""
    gate = Gate()
    model.script(key, Answer(Call("add", {"a": 1, "b": 2}), usage=(50, 5)), Answer(gate, "3.", usage=(60, 6)))
    turn = await client.responses.create(model="calculator", input=prompt(key), background=True)
    await gate.reached()
    usage = (await http.get(f"/v1/responses/{turn.id}")).json()["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == (50, 5)
    gate.open()
    assert all(request.body["stream_options"]["include_usage"] for request in model.requests(key))


async def test_code_embeds_by_the_stacks_models(client, model, key):
    model.script(key, Answer(Call("embed", {"text": "a bag"})), Answer("Embedded."))
    response = await client.responses.create(model="spy", input=prompt(key))
    call, _ = response.output
    assert call.error is None
    assert int(call.output) > 0
