"""The OpenAPI document's schema, and the requests of the project's own compliance tests."""

from typing import Any

import openresponses_types as schema
import pytest
from pydantic import TypeAdapter, ValidationError

from tests.integration.open_responses.sentences import departs, holds
from tests.integration.open_responses.test_items import STANDARD, unlike
from tests.integration.open_responses.turns import ASKS, LANGGRAPH, MODEL, WEATHER, every
from tests.scripted import Answer

EVENT_TYPES = [
    getattr(schema.types, name) for name in dir(schema.types) if name.endswith("StreamingEvent") and name[0] == "R"
]
EVENTS: dict[str, Any] = {
    # The type is an enumeration of one.
    next(iter(model.model_fields["type"].annotation)).value: model
    for model in EVENT_TYPES
}
PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"


def valid(model: Any, value: dict[str, Any]) -> str | None:
    """What is wrong with the value; None where it is valid. What the schema does not know is left out."""
    try:
        TypeAdapter(model).validate_python(_known(value))
    except ValidationError as error:
        return str(error)
    return None


def _known(value: dict[str, Any]) -> dict[str, Any]:
    """A response without items and tools that the specification leaves to implementors; an event with such one."""
    if "response" in value:
        return {**value, "response": _known(value["response"])}
    if value.get("object") == "response":
        output = [item for item in value["output"] if item["type"] in STANDARD]
        return {**value, "output": output, "tools": [t for t in value["tools"] if t["type"] == "function"]}
    return value


@holds("OpenAPI document", "`ResponseResource`: all required fields, and non-null those that are not nullable")
def test_responses(turns):
    every(turns, lambda turn: valid(schema.types.ResponseResource, turn.response))


@holds("OpenAPI document", "`ResponseResource`, when it is read")
async def test_responses_that_are_read(turns, http):
    for turn in turns:
        read = (await http.get(f"/v1/responses/{turn.response['id']}")).json()
        assert valid(schema.types.ResponseResource, read) is None


@holds("OpenAPI document", "`ResponseResource`: parameters of the request are repeated in full")
@pytest.mark.parametrize(
    "given",
    [
        {"reasoning": {"effort": "low"}},
        {"reasoning": {"summary": "auto"}},
        {"text": {"format": {"type": "json_object"}}},
        {"metadata": {"one": "two"}, "temperature": 0, "top_p": 1, "max_output_tokens": 16, "max_tool_calls": 3},
        {"prompt_cache_key": "key", "safety_identifier": "someone", "top_logprobs": 2},
        {"presence_penalty": 1, "frequency_penalty": -1, "parallel_tool_calls": False, "store": False},
    ],
    ids=lambda given: "-".join(given)[:20],
)
async def test_parameters(http, model, key, given):
    model.script(key, Answer("{}"))
    body = {"model": MODEL, "input": f"[[{key}]] Go.", **given}
    response = (await http.post("/v1/responses", json=body)).json()
    assert valid(schema.types.ResponseResource, response) is None
    for name, value in given.items():
        repeated = response[name]
        assert value.items() <= repeated.items() if isinstance(value, dict) else value == repeated


@departs(
    "OpenAPI document",
    "`JsonSchemaResponseFormat.schema` is null",
    "the response repeats the schema that was asked for, as the OpenAI API does",
)
async def test_the_schema_is_repeated(http, model, key):
    model.script(key, Answer("{}"))
    format_ = {"type": "json_schema", "name": "nothing", "schema": {"type": "object"}}
    body = {"model": MODEL, "input": f"[[{key}]] Go.", "text": {"format": format_}}
    response = (await http.post("/v1/responses", json=body)).json()
    assert format_.items() <= response["text"]["format"].items()


@holds("OpenAPI document", "Fields that may be null, or left out, may be so in requests")
@pytest.mark.parametrize("agent", ["declared", MODEL])
async def test_what_may_be_null(http, model, key, agent):
    model.script(key, Answer("Yes."))
    content = [
        {"type": "input_text", "text": f"[[{key}]] Look."},
        {"type": "input_image", "image_url": PIXEL, "detail": None},
    ]
    items = [
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "a", "annotations": None}],
        },
        {"type": "message", "role": "user", "content": content, "id": None, "status": None},
    ]
    tool = {"type": "function", "name": "look", "description": None, "strict": None}
    body = {
        "model": agent,
        "input": items,
        "tools": [tool],
        "temperature": None,
        "metadata": None,
        "reasoning": None,
    }
    response = (await http.post("/v1/responses", json=body)).json()
    assert valid(schema.types.ResponseResource, response) is None
    assert response["status"] == "completed"


@departs(
    "OpenAPI document",
    "`ItemReferenceParam`, `InputVideoContent`",
    "a 400 names them: items are sent whole, or with `previous_response_id` not at all; no host knows videos",
)
@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({"type": "item_reference", "id": "msg_1"}, "input[0].type"),
        (
            {
                "type": "function_call_output",
                "call_id": "c",
                "output": [{"type": "input_video", "video_url": "u"}],
            },
            "input[0].output[0]",
        ),
    ],
    ids=["reference", "video"],
)
async def test_items_that_are_not_taken(http, item, param):
    answer = await http.post("/v1/responses", json={"model": MODEL, "input": [item]})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


@holds("OpenAPI document", "All streaming events of the specification have its fields.")
def test_events(turns):
    def check(turn):
        known = [event for event in turn.events if event["type"] in EVENTS]
        known = [event for event in known if event.get("item", {"type": "message"})["type"] in STANDARD]
        return unlike([fault for event in known if (fault := valid(EVENTS[event["type"]], event))], [])

    every(turns, check)


HELLO = {"type": "message", "role": "user", "content": "Say hello in exactly 3 words."}
IMAGE = [{"type": "input_text", "text": "What is it?"}, {"type": "input_image", "image_url": PIXEL}]
COMPLIANCE: dict[str, list[dict[str, Any]]] = {
    "basic-response": [HELLO],
    "system-prompt": [{"type": "message", "role": "system", "content": "You are a pirate."}, HELLO],
    "image-input": [{"type": "message", "role": "user", "content": IMAGE}],
    "multi-turn": [HELLO, {"type": "message", "role": "assistant", "content": "Hello you there."}, HELLO],
}


@holds(
    "Compliance tests",
    "basic-response, system-prompt, image-input, multi-turn; streaming-response: plain and streamed",
)
@pytest.mark.parametrize("agent", [LANGGRAPH, "declared", MODEL])
@pytest.mark.parametrize("items", COMPLIANCE.values(), ids=COMPLIANCE)
async def test_compliance(http, agent, items):
    response = (await http.post("/v1/responses", json={"model": agent, "input": items})).json()
    assert valid(schema.types.ResponseResource, response) is None
    assert (response["status"], len(response["output"])) == ("completed", 1)


@holds("Compliance tests", "tool-calling, tool-calling-streaming")
def test_compliance_of_tool_calling(turns):
    for name in ("tool of the client", "tool of a model's client"):
        turn = turns[name]
        (call,) = [item for item in turn.response["output"] if item["type"] == "function_call"]
        assert valid(schema.types.FunctionCall, call) is None
        assert (call["name"], call["arguments"]) == (ASKS.name, ASKS.text)
        assert turn.response["tools"][0].items() >= WEATHER.items()
        kinds = [event["type"].removeprefix("response.") for event in turn.of_item(call["id"])]
        assert kinds == [
            "output_item.added",
            *["function_call_arguments.delta"] * (len(kinds) - 3),
            "function_call_arguments.done",
            "output_item.done",
        ]
        assert len(kinds) > 3
