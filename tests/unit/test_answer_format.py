"""Answers that are, or are not, of the form that a request asks for (k8gentai.workers.answer_format)."""

import json
import time
from typing import Any

import pytest

from k8gentai.workers import answer_format
from k8gentai.workers.answer_format import format_fault

PLAN = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"$ref": "#/$defs/days"}},
    "required": ["city", "days"],
    "additionalProperties": False,
    "$defs": {"days": {"type": "integer"}},
}
OSLO = '{"city": "Oslo", "days": 3}'


def fault(text: str, schema: dict[str, Any], **more: Any) -> str:
    """Return the fault of an answer by a schema; empty where there is none."""
    return format_fault(text, {"type": "json_schema", "name": "plan", "schema": schema, **more}) or ""


def doubling(depth: int) -> dict[str, Any]:
    """Return a small schema whose check takes a step for each path through it."""
    parts = {f"p{n}": {"allOf": [{"$ref": f"#/$defs/p{n + 1}"}] * 2} for n in range(depth)}
    return {"$ref": "#/$defs/p0", "$defs": {**parts, f"p{depth}": {}}}


@pytest.mark.parametrize("strict", [{}, {"strict": True}, {"strict": None}])
def test_an_answer_of_the_schema_has_no_fault(strict: dict[str, Any]) -> None:
    assert fault(OSLO, PLAN, **strict) == ""


@pytest.mark.parametrize("strict", [{}, {"strict": True}, {"strict": None}])
@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('{"city": "Oslo", "days": "three"}', "$.days: 'three' is not of type 'integer'"),
        ('{"city": "Oslo"}', "$: 'days' is a required property"),
        ('{"city": "Oslo", "days": 3, "by": "train"}', "'by' was unexpected"),
        ("[]", "$: [] is not of type 'object'"),
    ],
)
def test_an_answer_of_another_shape_has_one(text: str, named: str, strict: dict[str, Any]) -> None:
    assert named in fault(text, PLAN, **strict)


def test_a_schema_that_need_not_be_kept_asks_for_json() -> None:
    assert fault("[]", PLAN, strict=False) == ""
    assert "in other words" in fault("Oslo", PLAN, strict=False)


@pytest.mark.parametrize("text", ["Oslo", "{", '{"a": NaN}', "[" * 100_000])
def test_what_is_no_json_is_never_an_answer(text: str) -> None:
    assert "in other words" in (format_fault(text, {"type": "json_object"}) or "")


def test_no_answer_is_none() -> None:
    assert "answered nothing" in (format_fault("", {"type": "json_object"}) or "")


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$ref": "#/$defs/nowhere"},
        {"$ref": "http://127.0.0.1:9/schema.json"},
        {"anyOf": [{"$ref": "https://example.org/schema.json"}]},
    ],
)
def test_a_schema_that_no_answer_can_be_checked_against_is_the_fault(schema: dict[str, Any]) -> None:
    assert "cannot be checked" in fault(OSLO, schema)


@pytest.mark.parametrize("more", [{}, {"$schema": "http://json-schema.org/draft-07/schema#"}])
def test_a_check_ends_that_has_no_end_in_sight(more: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_format, "_STEPS", 5_000)
    assert "takes more than 5,000 steps" in fault(OSLO, {**doubling(60), **more})


@pytest.mark.parametrize(
    ("pattern", "is_kept"),
    [("^O", True), ("l.$", True), ("^(o+)+$", False), ("^(?=O)", True), ("(", True)],
)
def test_patterns_are_searched_for(pattern: str, is_kept: bool) -> None:
    assert (fault(OSLO, {"properties": {"city": {"pattern": pattern}}}) == "") is is_kept


def test_no_check_takes_long() -> None:
    text = json.dumps(
        {"a" * 50_000 + "!": 1, "list": [{"n": n} for n in range(5_000)], "text": "a" * 50_000 + "!"}
    )
    hard = "^(a+)+$"
    schema = {
        "patternProperties": {hard: {"type": "string"}},
        "additionalProperties": False,
        "unevaluatedProperties": False,
        "properties": {
            "list": {"uniqueItems": True},
            "text": {"$schema": "https://json-schema.org/draft/2020-12/schema", "pattern": hard},
        },
    }
    begun = time.process_time()
    assert "does not match" in fault(text, schema)
    assert time.process_time() - begun < 30


def test_items_of_short_arrays_are_compared() -> None:
    assert "non-unique" in fault("[1, 1]", {"uniqueItems": True})


@pytest.mark.parametrize(
    "dialect", ["http://json-schema.org/draft-04/schema#", "http://json-schema.org/draft-07/schema#"]
)
def test_a_schema_is_read_in_its_dialect(dialect: str) -> None:
    schema = {"$schema": dialect, "items": [{"type": "string"}], "definitions": {}}
    assert fault('["a", 2]', schema) == ""
    assert "[0]" in fault("[1, 2]", schema)
