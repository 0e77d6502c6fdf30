"""Requests, responses and errors over HTTP."""

import pytest

from tests.integration.open_responses.sentences import departs, holds
from tests.integration.open_responses.turns import LANGGRAPH, MODEL, every
from tests.scripted import Answer

PROMPT = "[[{}]] Hello."


def asked(http, body):
    return http.post("/v1/responses", json=body)


@holds("HTTP Responses", "When not streaming, servers MUST return data only as `application/json`.")
async def test_json(http, model, key):
    model.script(key, Answer("Yes."))
    made = await asked(http, {"model": LANGGRAPH, "input": PROMPT.format(key)})
    refused = await asked(http, {"model": LANGGRAPH})
    read = await http.get(f"/v1/responses/{made.json()['id']}")
    for answer in (made, refused, read):
        assert answer.headers["content-type"] == "application/json"


@holds("Streaming HTTP Responses", "When streaming, servers MUST return header `Content-Type: text/event-stream`.")
def test_event_stream(turns):
    every(turns, lambda turn: None if "text/event-stream" in turn.headers["content-type"] else turn.headers)


@holds("Streaming HTTP Responses", "Individual `data` objects [are] JSON-encoded strings.")
def test_data_is_json(turns):
    every(turns, lambda turn: None if all(isinstance(event, dict) for event in turn.events) else turn.sent)


@holds("Streaming HTTP Responses", "The terminal event MUST be the literal string `[DONE]`.")
def test_done(turns):
    every(turns, lambda turn: None if [e.data for e in turn.sent].index("[DONE]") == len(turn.sent) - 1 else turn)


@holds(
    "Streaming HTTP Responses", "The terminal event MUST be the literal string `[DONE]`: when taken up again, too."
)
async def test_done_when_resumed(http, turns):
    response_id = turns["message of an agent"].response["id"]
    answer = await http.get(f"/v1/responses/{response_id}?stream=true&starting_after=2")
    assert answer.text.endswith("data: [DONE]\r\n\r\n")
    assert answer.text.count("[DONE]") == 1


@holds("Streaming HTTP Responses", "The `event` field MUST match the `type` in the event body.")
def test_event_is_the_type(turns):
    every(
        turns,
        lambda turn: (
            None
            if [each.event for each in turn.sent[:-1]] == [event["type"] for event in turn.events]
            else turn.sent
        ),
    )


@departs(
    "Streaming HTTP Responses",
    "Servers SHOULD NOT use `id`.",
    "`id:` is the sequence number, by which an event source takes a stream up again (`Last-Event-ID`)",
)
def test_ids(turns):
    every(
        turns,
        lambda turn: (
            None
            if [each.id for each in turn.sent[:-1]] == [str(event["sequence_number"]) for event in turn.events]
            else turn.sent
        ),
    )


@holds(
    "Chat Inference",
    "Servers MUST support `POST /v1/responses` with a `model` and either a string `input` or an array of items.",
)
@holds("Chat Inference", "A string input is interpreted as a user message.")
@holds(
    "Chat Inference",
    "A successful non-streaming request MUST return a `response` object with an `output` array containing "
    "model-produced items.",
)
@pytest.mark.parametrize("agent", [LANGGRAPH, MODEL])
async def test_string_and_items_are_the_same(http, model, key, agent):
    model.script(key, Answer("Yes."), Answer("Yes."))
    text = PROMPT.format(key)
    items = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}]
    for given in (text, items):
        response = (await asked(http, {"model": agent, "input": given})).json()
        assert (response["object"], response["status"]) == ("response", "completed")
        assert response["completed_at"] >= response["created_at"]
        assert [item["content"][0]["text"] for item in response["output"]] == ["Yes."]
    first, second = model.requests(key)
    assert first.messages == second.messages
    assert first.texts("user") == [text]


@holds(
    "Errors",
    "The API responds with a structured error object that includes type, code, param, message.",
)
@pytest.mark.parametrize(
    ("change", "status", "param", "code"),
    [
        ({"model": "no-such-agent"}, 404, "model", "model_not_found"),
        ({"input": 7}, 400, "input", "invalid_value"),
        ({"temperature": "hot"}, 400, "temperature", "invalid_value"),
        ({"previous_response_id": "resp_0"}, 404, "previous_response_id", "previous_response_not_found"),
    ],
)
async def test_errors_have_a_structure(http, change, status, param, code):
    answer = await asked(http, {"model": LANGGRAPH, "input": "Hello.", **change})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (status, param, code)
    assert error["message"]


@departs(
    "Error Types",
    "`invalid_request` 400, `not_found` 404, `too_many_requests` 429",
    "the status codes are these; the types are OpenAI's (`invalid_request_error`, as in the specification's own "
    "example of a model that is not there, and `rate_limit_error`), which its SDKs and ours show",
)
async def test_error_types(http):
    for change, status in (({"model": "no-such-agent"}, 404), ({"input": 7}, 400)):
        answer = await asked(http, {"model": LANGGRAPH, "input": "Hello.", **change})
        assert (answer.status_code, answer.json()["error"]["type"]) == (status, "invalid_request_error")


@holds("Errors", "Any error incurred while streaming will be followed by a `response.failed` event.")
def test_failures_end_in_failed(turns):
    for name in ("failure", "failure in the middle"):
        last = turns[name].events[-1]
        assert (last["type"], last["response"]["status"]) == ("response.failed", "failed")
        assert last["response"]["error"]["reason"] == "model_error"
        assert last["response"]["error"]["message"]
