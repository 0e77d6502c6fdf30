"""Requests that are wrong: OpenAI's error shape, the right status, the field at fault, nothing accepted."""

import openai
import pytest

from k8gentai.workers.queue import keys
from tests.integration.helpers import LANGGRAPH, prompt
from tests.scripted import Answer, Gate


def check_error(answer, status, param=None):
    """The shape of an error; returns its message."""
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error"}
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert error["param"] == param
    assert "Traceback" not in error["message"]
    return error["message"]


async def post(http, **body):
    return await http.post("/v1/responses", json={"model": LANGGRAPH, "input": "Hello.", **body})


@pytest.mark.parametrize("name", ["no-such-agent", "amf/no-such-agent", "openai/no-such-model", ""])
async def test_an_unknown_agent_is_a_404_that_says_how_to_list(http, name):
    message = check_error(await post(http, model=name), 404, "model")
    assert "client.models.list()" in message


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'"hello"', b"\xff\xfe"])
async def test_a_body_that_is_no_json_object(http, content):
    answer = await http.post("/v1/responses", content=content, headers={"content-type": "application/json"})
    check_error(answer, 400)


@pytest.mark.parametrize("name", ["model", "input"])
async def test_a_field_that_is_missing(http, name):
    body = {"model": LANGGRAPH, "input": "Hello."}
    del body[name]
    check_error(await http.post("/v1/responses", json=body), 400, name)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model": 7}, "model"),
        ({"input": 7}, "input"),
        ({"input": [7]}, "input[0]"),
        ({"input": [{"type": "nonsense"}]}, "input[0].type"),
        ({"input": [{"role": "user", "content": "x"}, {"role": "user"}]}, "input[1].content"),
        ({"temperature": "hot"}, "temperature"),
        ({"stream": "perhaps"}, "stream"),
        ({"tools": "all"}, "tools"),
        ({"tools": [{"type": "nonsense"}]}, "tools[0]"),
        ({"metadata": ["x"]}, "metadata"),
        ({"conversation": 7}, "conversation"),
        ({"conversation": {"name": "x"}}, "conversation.id"),
        ({"max_output_tokens": "many"}, "max_output_tokens"),
        ({"previous_response_id": 7}, "previous_response_id"),
    ],
)
async def test_a_field_of_the_wrong_type(http, body, param):
    check_error(await post(http, **body), 400, param)


async def test_an_unknown_previous_response(http):
    unknown = "resp_00000000000000000000000000000000"
    message = check_error(await post(http, previous_response_id=unknown), 404, "previous_response_id")
    assert unknown in message


async def test_a_previous_response_that_has_not_ended(client, http, model, key):
    gate = Gate()
    model.script(key, Answer(gate, "Late."))
    running = await client.responses.create(model=LANGGRAPH, input=prompt(key), background=True)
    await gate.reached()
    message = check_error(await post(http, previous_response_id=running.id), 400, "previous_response_id")
    assert "not ended" in message
    gate.open()


@pytest.mark.parametrize("conversation", [f"conv_{'0' * 48}", {"id": f"conv_{'0' * 48}"}])
async def test_an_unknown_conversation(http, conversation):
    message = check_error(await post(http, conversation=conversation), 404, "conversation")
    assert "POST /v1/conversations" in message


async def test_what_is_no_conversations_id(http):
    message = check_error(await post(http, conversation="nonsense"), 400, "conversation")
    assert "conv_" in message


async def test_two_histories_at_once(client, http, model, key):
    model.script(key, Answer("One."))
    first = await client.responses.create(model=LANGGRAPH, input=prompt(key))
    conversation = (await client.conversations.create()).id
    answer = await post(http, previous_response_id=first.id, conversation=conversation)
    check_error(answer, 400, "previous_response_id")


async def test_background_without_store(http):
    check_error(await post(http, background=True, store=False), 400, "background")


@pytest.mark.parametrize("query", ["limit=0", "limit=many", "order=sideways"])
async def test_a_page_that_cannot_be(http, query):
    check_error(await http.get(f"/v1/responses?{query}"), 400, query.partition("=")[0])


@pytest.mark.parametrize("url", ["/v1/responses", "/v1/responses/compact", "/v1/chat/completions", "/v1/agents"])
@pytest.mark.parametrize(
    ("content", "status"), [(b" " * 20_000_001, 413), (b"[" * 200 + b"]" * 200, 400)], ids=["large", "deep"]
)
async def test_a_body_without_measure(http, url, content, status):
    answer = await http.post(url, content=content, headers={"content-type": "application/json"})
    assert answer.status_code == status
    assert "20000000" in answer.text or "deeply" in answer.text


async def test_the_sdk_reads_our_errors(client):
    with pytest.raises(openai.NotFoundError) as caught:
        await client.responses.create(model="no-such-agent", input="Hello.")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


async def test_nothing_was_accepted(stack, http):
    with stack.redis() as redis:
        before = set(redis.scan_iter(f"{keys.TURN}*", count=1000))
        await post(http, model="no-such-agent")
        await post(http, temperature="hot")
        await post(http, previous_response_id="resp_unknown")
        assert set(redis.scan_iter(f"{keys.TURN}*", count=1000)) == before
