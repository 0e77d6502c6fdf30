"""Requests are read into one shape, or refused with the field at fault."""

import asyncio
import threading
from contextlib import suppress
from typing import Any, get_args

import pytest

from k8gentai.providers import host
from k8gentai.providers.errors import ApiError
from k8gentai.providers.ids import belongs_to, new_turn_id
from k8gentai.providers.requests import answer_formats as formats
from k8gentai.providers.requests.request import read_request
from k8gentai.workers.attempt import json_schema

TURN = new_turn_id()
MCP = {"type": "mcp", "server_label": "s", "server_url": "http://s"}
TEXT = {"type": "input_text", "text": "this?"}
PNG = {"type": "input_image", "image_url": "data:image/png;base64,AA=="}


def read(**body: Any) -> Any:
    return read_request(TURN, {"model": "math", "input": "hi", **body})


async def read_format(**asked: Any) -> None:
    """Read a request for an answer of a format, as far as its schema."""
    await formats.check_schema(read(text={"format": asked}).parameters["text"]["format"])


def test_a_string_is_a_users_message() -> None:
    (item,) = read().input
    assert belongs_to(TURN, item.pop("id"))
    assert item == {
        "type": "message",
        "role": "user",
        "status": "completed",
        "content": [{"type": "input_text", "text": "hi"}],
    }


def test_items_keep_what_they_say() -> None:
    items: list[dict[str, Any]] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "input_text", "text": "this?"}, PNG]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "that"}]},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "42", "id": "fco_mine"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "…", "content": [{"text": "Hm."}]},
    ]
    read_items = read(input=items).input
    assert [item["type"] for item in read_items] == ["message"] * 3 + [
        "function_call",
        "function_call_output",
        "reasoning",
    ]
    assert read_items[0]["content"] == [{"type": "input_text", "text": "Be brief."}]
    assert read_items[1]["content"] == items[1]["content"]
    assert read_items[2]["content"][0]["annotations"] == []
    assert read_items[4]["id"] == "fco_mine"
    assert read_items[5]["encrypted_content"] == "…"


@pytest.mark.parametrize("given", [{"previous_response_id": "r"}, {"conversation": "c"}, {"prompt": {"id": "p"}}])
def test_an_input_may_be_empty_where_something_else_is_said(given: dict[str, Any]) -> None:
    assert read(input=[], **given).input == []


def test_parameters_tools_and_echo() -> None:
    tool = {**MCP, "authorization": "hush"}
    request = read(
        temperature=0.5, max_output_tokens=20, tools=[tool], metadata={"k": "v"}, stream=True, user=None, extra=1
    )
    assert request.parameters == {"temperature": 0.5, "max_output_tokens": 20, "extra": 1}
    assert request.tools == [tool]
    assert request.stream
    assert request.store
    assert not request.background
    assert request.echo["metadata"] == {"k": "v"}
    assert "hush" not in str(request.echo)
    assert "input" not in request.echo


def test_the_digest_tells_requests_apart() -> None:
    assert read().echo["digest"] == read().echo["digest"]
    assert read().echo["digest"] != read(input="ho").echo["digest"]


def test_a_conversation_is_an_id_or_an_object() -> None:
    assert read(conversation="conv_1").conversation == "conv_1"
    assert read(conversation={"id": "conv_1"}).conversation == "conv_1"


def test_the_multitask_strategy_is_no_parameter_of_the_model() -> None:
    request = read(multitask_strategy="rollback")
    assert request.multitask_strategy == "rollback"
    assert request.parameters == {}
    assert read().multitask_strategy is None


APPROVAL = {"type": "mcp_approval_response", "approval_request_id": "mcpr_1"}


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"input": None}, "input"),
        ({"input": 3}, "input"),
        ({"input": ["text"]}, "input[0]"),
        ({"input": [{"type": "spell"}]}, "input[0].type"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"role": "wizard", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user", "content": [{"type": "smell"}]}]}, "input[0].content[0]"),
        *[
            ({"input": [{**APPROVAL, "approve": given}]}, "input[0].approve")
            for given in ("true", "no", 1, 0, None)
        ],
        ({"input": []}, "input"),
        *[
            ({"input": [{"role": "user", "content": [TEXT, {"type": "input_image", **image}]}]}, place)
            for place in ["input[0].content[1]"]
            for image in ({}, {"image_url": None}, {"image_url": ""}, {"detail": "low", "file_id": ""})
        ],
        (
            {"input": [{"type": "function_call_output", "call_id": "c", "output": [{"type": "input_image"}]}]},
            "input[0].output[0]",
        ),
        ({"previous_response_id": ""}, "previous_response_id"),
        ({"conversation": ""}, "conversation"),
        ({"conversation": {"id": ""}}, "conversation"),
        ({"input": "x", "temperature": 7}, "temperature"),
        ({"model": None}, "model"),
        ({"user": 5}, "user"),
        ({"reasoning": {"effort": "much"}}, "reasoning.effort"),
        ({"tools": [{"type": "mystery"}]}, "tools[0]"),
        ({"tools": [{"type": "function", "parameters": {}}]}, "tools[0].name"),
        ({"tools": [{"type": "function", "name": ""}]}, "tools[0].name"),
        ({"conversation": {"name": "x"}}, "conversation.id"),
        ({"conversation": 3}, "conversation"),
        ({"conversation": "c", "previous_response_id": "r"}, "previous_response_id"),
        ({"background": True, "store": False}, "background"),
        ({"tools": [{**MCP, "headers": {"authorization": "Bearer t"}}]}, "tools[0].headers"),
        ({"prompt": {}}, "prompt.id"),
        ({"prompt": {"id": "p", "variables": {"a": 3}}}, "prompt.variables.a"),
        ({"multitask_strategy": "merge"}, "multitask_strategy"),
        ({"multitask_strategy": ["reject"]}, "multitask_strategy"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], param: str) -> None:
    with pytest.raises(ApiError) as refused:
        read(**changes)
    assert (refused.value.status_code, refused.value.param) == (400, param)
    assert refused.value.message


WRONG_FOR: dict[Any, list[Any]] = {
    bool: ["yes", "true", "", 1, 0, 1.0, []],
    int: ["20", True, 20.5, []],
    float: ["1", True, []],
    str: [5, True, 0.5, []],
}
"""Values that are none of a type, and that Python's or pydantic's own reading may take for some of it."""


def scalars() -> list[tuple[str, type]]:
    """Return the fields of the host's type that hold one value, each with its type."""
    return [
        (name, kind)
        for name, field in host.CreateResponseRequest.model_fields.items()
        for kind in get_args(field.annotation) or (field.annotation,)
        if name != "input" and (kind in WRONG_FOR or (isinstance(kind, type) and issubclass(kind, str)))
    ]


@pytest.mark.parametrize(("name", "kind"), scalars())
def test_nothing_is_guessed_of_a_value_of_another_type(name: str, kind: type) -> None:
    for value in WRONG_FOR.get(kind, WRONG_FOR[str]):
        with pytest.raises(ApiError) as refused:
            read(**{name: value})
        assert (refused.value.status_code, refused.value.param) == (400, name), value


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"tools": [{"type": "function", "name": "f", "strict": "yes"}]}, "tools[0].strict"),
        (
            {"tools": [{"type": "file_search", "vector_store_ids": ["v"], "max_num_results": "3"}]},
            "tools[0].max_num_results",
        ),
        ({"stream_options": {"include_obfuscation": 1}}, "stream_options.include_obfuscation"),
        (
            {"text": {"format": {"type": "json_schema", "name": "n", "schema": {}, "strict": "no"}}},
            "text.format.strict",
        ),
    ],
)
def test_nothing_is_guessed_inside_of_an_object(given: dict[str, Any], param: str) -> None:
    with pytest.raises(ApiError) as refused:
        read(**given)
    assert (refused.value.status_code, refused.value.param) == (400, param)


def test_values_that_are_of_their_type_are_taken() -> None:
    request = read(
        temperature=1,
        top_p=0.5,
        max_output_tokens=16.0,
        include=["reasoning.encrypted_content"],
        truncation="auto",
        service_tier="auto",
        reasoning={"effort": "low"},
        tool_choice="auto",
        seed=1.0,
        store=None,
        stream=None,
    )
    assert (request.store, request.stream) == (True, False)
    assert request.parameters == {
        "temperature": 1.0,
        "top_p": 0.5,
        "max_output_tokens": 16,
        "include": ["reasoning.encrypted_content"],
        "truncation": "auto",
        "service_tier": "auto",
        "reasoning": {"effort": "low"},
        "tool_choice": "auto",
        "seed": 1.0,
    }


def test_all_values_that_a_field_may_have_are_named() -> None:
    with pytest.raises(ApiError, match="'system', 'developer', 'user', 'assistant'"):
        read(input=[{"role": "usr", "content": "x"}])
    image = {"type": "input_image", "image_url": "data:,", "detail": "huge"}
    with pytest.raises(ApiError, match=r"'input\[0\]\.content\[0\]\.detail': .*'low', 'high'"):
        read(input=[{"role": "user", "content": [image]}])


def test_the_body_must_be_an_object_with_input() -> None:
    with pytest.raises(ApiError):
        read_request(TURN, ["model"])
    with pytest.raises(ApiError) as refused:
        read_request(TURN, {"model": "math"})
    assert refused.value.code == "missing_required_parameter"


@pytest.mark.parametrize(
    ("given", "place"),
    [({"text": {"verbosity": "low"}}, "text.verbosity"), ({"reasoning": {"depth": 3}}, "reasoning.depth")],
)
def test_fields_that_the_host_would_leave_out_are_refused(given, place):
    with pytest.raises(ApiError) as caught:
        read_request("resp_1", {"model": "m", "input": "Hi.", **given})
    assert (caught.value.status_code, caught.value.param) == (400, place)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"authorization": "hush\n"}, "tools[0].authorization"),
        ({"authorization": "hush\u00e9"}, "tools[0].authorization"),
        ({"headers": {"x-key": "hush\r\nHost: x"}}, "tools[0].headers.x-key"),
        ({"headers": {"x-key": 5}}, "tools[0].headers.x-key"),
        ({"headers": "hush"}, "tools[0].headers"),
        ({"headers": {"x key": "hush"}}, "tools[0].headers"),
        ({"headers": {"": "hush"}}, "tools[0].headers"),
        ({"server_url": "http://ada:hush@wiki/mcp"}, "tools[0].server_url"),
        ({"server_url": "hush"}, "tools[0].server_url"),
        ({"server_url": "http://hush:99999"}, "tools[0].server_url"),
        ({"server_url": "file:///hush"}, "tools[0].server_url"),
        ({"authorization": ["hush"]}, "tools[0].authorization"),
    ],
)
def test_a_credential_that_cannot_be_sent_is_refused_and_not_told(fields: dict[str, Any], param: str) -> None:
    tool = {"type": "mcp", "server_label": "wiki", "server_url": "http://wiki", **fields}
    with pytest.raises(ApiError) as refused:
        read(tools=[tool])
    assert (refused.value.status_code, refused.value.param) == (400, param)
    assert "hush" not in str(refused.value)


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"schema": {}}, "text.format.name"),
        ({"name": "a b", "schema": {}}, "text.format.name"),
        ({"name": "", "schema": {}}, "text.format.name"),
        ({"name": "plan"}, "text.format.schema"),
        ({"name": "plan", "schema": {"type": "nope"}}, "text.format.schema"),
        ({"name": "plan", "schema": {"properties": {"a": {"type": 3}}}}, "text.format.schema"),
        (
            {"name": "plan", "schema": {"required": "a", "$schema": "http://json-schema.org/draft-07/schema#"}},
            "text.format.schema",
        ),
        ({"name": "plan", "schema": {"$ref": "https://example.com/x"}}, "text.format.schema"),
        ({"name": "plan", "schema": {"anyOf": [{"items": {"$ref": "x.json"}}]}}, "text.format.schema"),
        ({"name": "plan", "schema": {"$defs": {"a": {"$ref": "#/$defs/b"}}}}, "text.format.schema"),
        ({"name": "plan", "schema": {"$ref": "#/allOf/x", "allOf": [{}]}}, "text.format.schema"),
        ({"name": "plan", "schema": {"$ref": "http://["}}, "text.format.schema"),
        ({"name": "plan", "schema": {"$ref": "#a"}}, "text.format.schema"),
        ({"name": "plan", "schema": {"$ref": "#/x", "x": {"$ref": "y"}}}, "text.format.schema"),
        ({"name": "plan", "schema": {"$schema": 5}}, "text.format.schema"),
        ({"name": "plan", "schema": {"$schema": []}}, "text.format.schema"),
        (
            {
                "name": "plan",
                "schema": {"$schema": "http://json-schema.org/draft-03/schema#", "extends": {"type": "object"}},
            },
            "text.format.schema",
        ),
        ({"name": "plan", "schema": {"$ref": "#/required/0", "required": ["a"]}}, "text.format.schema"),
        ({"name": "plan", "schema": {"$ref": "#/x", "x": 5}}, "text.format.schema"),
        ({"name": "plan", "schema": {"$ref": "#/enum/0", "enum": [{"type": "none"}]}}, "text.format.schema"),
        ({"name": "plan", "schema": {"$ref": "#/a", "a": {"$ref": "#/b"}, "b": 5}}, "text.format.schema"),
    ],
)
async def test_a_format_that_is_none_is_refused_by_its_field(asked: dict[str, Any], param: str) -> None:
    with pytest.raises(ApiError) as refused:
        await read_format(type="json_schema", **asked)
    assert (refused.value.status_code, refused.value.param) == (400, param)
    assert param in str(refused.value)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#"}}},
        {"$ref": "#a", "$defs": {"a": {"$anchor": "a"}}},
        {"$id": "https://example.com/x", "items": {"$ref": "x#/$defs/a"}, "$defs": {"a": True}},
        {"$ref": "https://example.com/a", "$defs": {"a": {"$id": "https://example.com/a"}}},
        {"$ref": "#/components/a", "components": {"a": {"$schema": "urn:none"}}},
        {"properties": {"$ref": {"const": {"$ref": "https://example.com/x"}}}, "enum": [{"$ref": "x"}]},
        {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "definitions": {"a": {}},
            "$ref": "#/definitions/a",
        },
        {"$schema": "https://json-schema.org/draft/2019-09/schema", "items": {"$recursiveRef": "#"}},
        {"$dynamicAnchor": "a", "items": {"$dynamicRef": "#a"}},
        {"$schema": "http://json-schema.org/draft-03/schema#", "dependencies": {"a": "b"}},
    ],
)
async def test_references_within_a_schema_are_taken(schema: dict[str, Any]) -> None:
    await read_format(type="json_schema", name="plan", schema=schema)


OLD = "http://json-schema.org/draft-04/schema#"


def nested(levels: int) -> dict[str, Any]:
    """Return a schema of so many levels."""
    schema: dict[str, Any] = {}
    for _ in range(levels - 1):
        schema = {"not": schema}
    return schema


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"properties": {f"p{n}": {} for n in range(5_000)}}, "it holds more than 5,000 objects"),
        ({"required": [str(n) for n in range(50_000)]}, "it holds more than 50,000 values"),
        ({"enum": [n or "a" for n in range(1_001)], "$schema": OLD}, "it has an array of more than 1,000 values"),
        (nested(101), "it is nested more than 100 levels deep"),
    ],
    ids=["objects", "values", "array", "levels"],
)
async def test_a_schema_that_is_too_large_is_refused_before_it_is_checked(schema, words) -> None:
    with pytest.raises(ApiError, match=words) as refused:
        read(text={"format": {"type": "json_schema", "name": "plan", "schema": schema}})
    assert (refused.value.status_code, refused.value.param) == (400, "text.format.schema")


async def test_large_schemas_are_taken() -> None:
    for schema in (
        {"properties": {f"p{n}": {} for n in range(500)}, "required": [f"p{n}" for n in range(500)]},
        {"enum": [str(n) for n in range(20_000)], "$schema": OLD},
        nested(100),
    ):
        await read_format(type="json_schema", name="plan", schema=schema)


async def test_others_are_served_while_a_schema_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on = threading.Event()
    monkeypatch.setattr(formats, "of_one_dialect", lambda _: goes_on.wait())
    check = asyncio.create_task(formats.check_schema({"type": "json_schema", "schema": {}}))
    await asyncio.sleep(0)
    assert not check.done()
    goes_on.set()
    await check


async def test_references_cost_no_more_than_a_large_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each to a part of what the next leads to, which is checked once more."""
    monkeypatch.setattr(json_schema, "_MOST_REFERRED", 500)
    target: dict[str, Any] = {"properties": {f"p{n}": {} for n in range(100)}}
    for _ in range(10):
        target = {"not": target}
    references = [f"#/k{'/not' * depth}" for depth in range(11)]
    for order in (references, references[::-1]):
        schema = {"k": target, "anyOf": [{"$ref": each} for each in order]}
        asked = {"type": "json_schema", "name": "a", "schema": schema}
        formats.check_format(asked)
        with suppress(ApiError):
            await formats.check_schema(asked)
    with pytest.raises(ApiError, match="its references lead to more than 500 objects"):
        await formats.check_schema(asked)


async def test_a_schema_that_waits_behind_others_is_not_at_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on = threading.Event()
    monkeypatch.setattr(formats, "of_one_dialect", lambda _: goes_on.wait())
    monkeypatch.setattr(formats, "_SECONDS", 0.01)
    checks = [formats.check_schema({"type": "json_schema", "schema": {}}) for _ in range(3)]
    answers = await asyncio.gather(*checks, return_exceptions=True)
    goes_on.set()
    refused = [error for error in answers if isinstance(error, ApiError)]
    assert [(error.status_code, error.param) for error in refused] == [
        (400, "text.format.schema"),
        (400, "text.format.schema"),
        (503, None),
    ]


async def test_the_time_of_a_check_begins_when_it_does(monkeypatch: pytest.MonkeyPatch) -> None:
    now = asyncio.get_running_loop().time
    later = 0.0
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now() + later)
    others_end, begun, goes_on = threading.Event(), threading.Event(), threading.Event()

    def check(schema: dict[str, Any]) -> None:
        if "mine" not in schema:
            others_end.wait()
            return
        begun.set()
        goes_on.wait()

    monkeypatch.setattr(formats, "_fault", check)
    schemas: list[dict[str, Any]] = [{}, {}, {"mine": True}]
    checks = [
        asyncio.create_task(formats.check_schema({"type": "json_schema", "schema": schema})) for schema in schemas
    ]
    await asyncio.sleep(0)
    later += 0.9 * formats._SECONDS
    others_end.set()
    await asyncio.to_thread(begun.wait)
    later += 0.9 * formats._SECONDS
    await asyncio.sleep(0)
    goes_on.set()
    await asyncio.gather(*checks)


async def test_a_request_that_is_cancelled_leaves_no_check_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on = threading.Event()
    begun: list[dict[str, Any]] = []

    def check(schema: dict[str, Any]) -> None:
        begun.append(schema)
        goes_on.wait()

    monkeypatch.setattr(formats, "_fault", check)
    schemas: list[dict[str, Any]] = [{"a": 1}, {"b": 1}, {"c": 1}, {"d": 1}]
    checks = [
        asyncio.create_task(formats.check_schema({"type": "json_schema", "schema": schema})) for schema in schemas
    ]
    await asyncio.sleep(0)
    checks[2].cancel()
    await asyncio.wait(checks[2:3])
    goes_on.set()
    await asyncio.gather(checks[0], checks[1], checks[3])
    assert {"c": 1} not in begun


async def test_a_schema_whose_check_does_not_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on = threading.Event()
    monkeypatch.setattr(formats, "of_one_dialect", lambda _: goes_on.wait())
    monkeypatch.setattr(formats, "_SECONDS", 0.01)
    with pytest.raises(ApiError, match="make it smaller"):
        await formats.check_schema({"type": "json_schema", "schema": {}})
    goes_on.set()


@pytest.mark.parametrize(
    "asked",
    [
        {"type": "text"},
        {"type": "json_object"},
        {"type": "json_schema", "name": "plan-1", "schema": {"type": "object", "$defs": {}}, "strict": True},
        {"type": "json_schema", "name": "plan", "schema": {}},
    ],
)
def test_a_format_is_taken_as_it_is(asked: dict[str, Any]) -> None:
    assert read(text={"format": asked}).parameters["text"]["format"].items() >= asked.items()
