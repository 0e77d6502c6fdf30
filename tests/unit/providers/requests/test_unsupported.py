"""What a request asks and an agent cannot do is refused by name: every field of a request is accounted for."""

from typing import Any

import pytest

from k8gentai.agents.adapters.base.parameters import (
    CHECKED_ELSEWHERE,
    passed_on,
    unsupported,
    wants_json,
    with_asked,
)
from k8gentai.providers import host
from k8gentai.providers.requests.request import _NOT_PARAMETERS

SCHEMA = {"type": "json_schema", "name": "plan", "schema": {"type": "object"}}
BOTH, DECLARATIVE, NEITHER = (True, True), (True, False), (False, False)
"""Whether a declarative agent does it, and an agent with code."""

# Each field with a value that asks for something, and who does it: an agent of LangGraph, CrewAI, AG2 or BeeAI.
# Llama Stack's loop, and so a plain model, takes them all.
TABLE: dict[str, list[tuple[Any, tuple[bool, bool]]]] = {
    "parallel_tool_calls": [(False, BOTH)],
    "prompt_cache_key": [("key", BOTH)],
    "temperature": [(0.5, BOTH)],
    "top_p": [(0.5, BOTH)],
    "frequency_penalty": [(1, BOTH)],
    "presence_penalty": [(1, BOTH)],
    "max_output_tokens": [(16, BOTH)],
    "max_tool_calls": [(1, BOTH)],
    "max_infer_iters": [(1, BOTH)],
    "text": [({"format": SCHEMA}, BOTH), ({"format": {"type": "text"}}, BOTH), ({"verbosity": "low"}, NEITHER)],
    "tool_choice": [
        ("auto", BOTH),
        ("none", DECLARATIVE),
        ("required", DECLARATIVE),
        ({"type": "function", "name": "add"}, DECLARATIVE),
        ({"type": "mcp", "server_label": "wiki"}, NEITHER),
        ({"type": "file_search"}, NEITHER),
        ({"type": "allowed_tools", "mode": "auto", "tools": []}, BOTH),
        ({"type": "allowed_tools", "mode": "required", "tools": []}, DECLARATIVE),
    ],
    "include": [(["file_search_call.results"], BOTH), (["message.output_text.logprobs"], NEITHER)],
    "reasoning": [({"effort": "low"}, BOTH), ({"summary": "auto"}, NEITHER)],
    "safety_identifier": [("someone", BOTH)],
    "service_tier": [("priority", BOTH)],
    "truncation": [("auto", BOTH)],
    "top_logprobs": [(0, BOTH), (2, NEITHER)],
}
CELLS = [(name, value, who) for name, cells in TABLE.items() for value, who in cells]


@pytest.mark.parametrize(("name", "value", "who"), CELLS)
def test_each_value_is_done_or_refused_by_name(name, value, who):
    for declarative, done in zip((True, False), who, strict=True):
        place = unsupported({name: value}, declarative=declarative)
        assert (place is None) is done
        assert place is None or place.startswith(name)


PASSED = {
    "prompt_cache_key": "key",
    "safety_identifier": "someone",
    "service_tier": "flex",
    "user": "someone",
    "temperature": 0.5,
    "top_p": 0.5,
    "frequency_penalty": 1,
    "presence_penalty": 1,
}
"""Parameters that a model call has under their own names."""
RENAMED: dict[str, tuple[Any, dict[str, Any]]] = {
    "max_output_tokens": (16, {"max_tokens": 16}),
    "text": ({"format": {"type": "json_object"}}, {"response_format": {"type": "json_object"}}),
    "reasoning": ({"effort": "low"}, {"reasoning_effort": "low"}),
    "parallel_tool_calls": (False, {"parallel_tool_calls": False}),
}
NOT_OF_MODEL_CALLS = {
    "max_tool_calls": "the tool boundary counts",
    "max_infer_iters": "the gateway counts",
    "tool_choice": "only which of the request's tools are offered, where there is code; see test_tool_choice",
    "include": "how the response is shown",
    "truncation": "repeated, and said to cut nothing: docs/api.md",
    "top_logprobs": "refused but for 0",
}


def test_every_parameter_that_is_taken_reaches_the_model_calls_or_says_why_not():
    assert set(TABLE) | {"user"} == {*PASSED, *RENAMED, *NOT_OF_MODEL_CALLS}
    tools: dict[str, Any] = {"tools": [{}]}
    for name, value in PASSED.items():
        assert unsupported({name: value}, declarative=False) is None
        assert {**with_asked(tools, {name: value}), **passed_on({name: value})} == {**tools, name: value}
    for name, (value, sent) in RENAMED.items():
        assert with_asked(tools, {name: value}) == {**tools, **sent}


def test_some_are_passed_on_for_agents_without_code_as_well():
    asked = {"service_tier": "flex", "user": None, "safety_identifier": "s", "temperature": 1}
    assert passed_on(asked) == {"service_tier": "flex", "safety_identifier": "s"}


def test_every_field_of_a_request_is_in_the_table_or_handled_by_the_server():
    fields = set(host.CreateResponseRequest.model_fields)
    assert fields - _NOT_PARAMETERS - CHECKED_ELSEWHERE == set(TABLE)


def test_a_field_that_nobody_knows_is_refused():
    assert unsupported({"top_k": 3}, declarative=True) == "top_k"
    assert unsupported({"top_k": None}, declarative=True) is None


def test_what_is_asked_reaches_the_calls_of_an_agents_code():
    asked = {
        "temperature": 0.1,
        "top_p": None,
        "max_output_tokens": 16,
        "parallel_tool_calls": False,
        "reasoning": {"effort": "low"},
        "text": {"format": SCHEMA},
    }
    body = {"model": "m", "messages": [], "temperature": 0.9}
    assert with_asked(body, asked) == {
        **body,
        "temperature": 0.1,
        "max_tokens": 16,
        "reasoning_effort": "low",
        "response_format": {"type": "json_schema", "json_schema": {"name": "plan", "schema": {"type": "object"}}},
    }
    assert with_asked(body, {}) == body


@pytest.mark.parametrize(
    ("own", "name", "most"),
    [({"max_tokens": 9}, "max_tokens", 9), ({"max_completion_tokens": 99}, "max_completion_tokens", 16)],
)
def test_the_smaller_limit_of_tokens_holds(own, name, most):
    assert with_asked(own, {"max_output_tokens": 16}) == {name: most}


@pytest.mark.parametrize("own", [{"response_format": {"type": "json_object"}}, {"tool_choice": "required"}])
def test_a_format_of_the_codes_own_and_a_call_that_must_call_a_tool_are_left_alone(own):
    assert with_asked(own, {"text": {"format": SCHEMA}}) == own


def test_parallel_calls_are_asked_for_where_there_are_tools():
    asked = {"parallel_tool_calls": False}
    assert with_asked({"tools": [{}]}, asked) == {"tools": [{}], "parallel_tool_calls": False}


def test_wants_json():
    assert wants_json({"text": {"format": {"type": "json_object"}}})
    assert not wants_json({"text": {"format": {"type": "text"}}})
    assert not wants_json({})
