"""Answers that are, or are not, of the form that a request asks for (k8gentai.workers.attempt.answer_format)."""

import itertools
import json
import time
from types import SimpleNamespace
from typing import Any

import pytest

from k8gentai.workers.attempt import answer_format
from k8gentai.workers.attempt.answer_format import format_fault

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


@pytest.mark.parametrize("schema", [{"$ref": "#"}, {"$ref": "http://127.0.0.1:9/schema.json"}])
def test_a_schema_that_no_answer_can_be_checked_against_is_no_fault(schema: dict[str, Any]) -> None:
    assert fault(OSLO, schema) == ""


@pytest.mark.parametrize("more", [{}, {"$schema": "http://json-schema.org/draft-07/schema#"}])
def test_a_check_ends_that_has_no_end_in_sight(more: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_format, "_SECONDS", 0.2)
    assert fault(OSLO, {**doubling(60), **more}) == ""


def test_what_a_check_has_found_by_its_end_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_format, "_SECONDS", 0.2)
    assert "is not of type 'array'" in fault(OSLO, {"type": "array", **doubling(60)})


@pytest.mark.parametrize(
    ("number", "step", "is_kept"),
    [
        ("19.99", 0.01, True),
        ("0.07", 0.01, True),
        ("19.995", 0.01, False),
        ("1e300", 0.01, True),
        ("7", 3.5, True),
        ("7", 2, False),
    ],
)
def test_multiples_are_of_numbers_as_written(number: str, step: float, is_kept: bool) -> None:
    assert (fault(number, {"multipleOf": step}) == "") is is_kept
    draft_3 = {"$schema": "http://json-schema.org/draft-03/schema#", "divisibleBy": step}
    assert (fault(number, draft_3) == "") is is_kept


UNCHECKED: list[tuple[str, dict[str, Any]]] = [
    ('"abc"', {"pattern": "^(?=x)"}),
    ('"abc"', {"pattern": "(?:ab?){999}"}),
    ('"abc"', {"format": "date"}),
    ('{"x-a": "1"}', {"patternProperties": {"^x-": {"type": "integer"}}}),
    ('{"x-a": "1"}', {"patternProperties": {}, "additionalProperties": False}),
    ('{"x-a": "1"}', {"unevaluatedProperties": False}),
]


@pytest.mark.parametrize(("text", "part"), UNCHECKED)
def test_what_cannot_be_checked_is_no_fault_wherever_it_stands(text: str, part: dict[str, Any]) -> None:
    assert fault(text, part) == ""
    assert fault(text, {"not": part}) == ""
    assert fault(text, {"not": {"not": part}}) == ""
    assert fault(text, {"not": {"anyOf": [part, {"type": "null"}]}}) == ""
    assert fault(text, {"oneOf": [part, part]}) == ""
    assert fault(text, {"oneOf": [part, {}]}) == ""
    assert fault(text, {"if": part, "then": False}) == ""
    assert fault(f"[{text}]", {"contains": part, "maxContains": 0, "minContains": 0}) == ""
    assert fault(f"[{text}]", {"unevaluatedItems": False, "contains": part}) == ""
    assert fault(f"[{text}]", {"not": {"items": {"$ref": "#/$defs/part"}}, "$defs": {"part": part}}) == ""


def test_the_rest_is_checked_beside_what_cannot_be() -> None:
    part = {"pattern": "^(?=x)"}
    assert "is not of type" in fault("5", {"type": "string", **part})
    assert "any of the given" in fault("5", {"oneOf": [{"type": "string", **part}, {"type": "null"}]})
    assert "any of the given" in fault("5", {"anyOf": [{"type": "string", **part}, {"type": "null"}]})
    assert "required" in fault("{}", {"if": {"type": "string", **part}, "else": {"required": ["a"]}})
    assert "valid under each" in fault("5", {"oneOf": [{"type": "integer"}, {}]})
    assert "should not be" in fault("5", {"not": {"type": "integer", **part}})


@pytest.mark.parametrize("keyword", ["const", "enum"])
def test_a_value_may_look_like_a_schema(keyword: str) -> None:
    value = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$ref": "https://example.org/x"}
    schema = {keyword: [value] if keyword == "enum" else value}
    assert fault(json.dumps(value), schema) == ""
    assert fault("{}", schema) != ""
    assert fault(json.dumps({"const": value}), {"properties": {"const": schema}}) == ""


@pytest.mark.parametrize(
    ("pattern", "is_kept"),
    [("^O", True), ("l.$", True), ("^(o+)+$", False), ("^(?=O)", True), ("(", True)],
)
def test_patterns_are_searched_for(pattern: str, is_kept: bool) -> None:
    assert (fault(OSLO, {"properties": {"city": {"pattern": pattern}}}) == "") is is_kept


def test_text_with_half_a_character_is_searched() -> None:
    assert fault(r'"\ud800abc"', {"pattern": "abc"}) == ""


def test_a_dialect_behind_a_reference_is_not_read() -> None:
    """Else jsonschema would search by its own engine, without an end."""
    inner = {"$schema": "http://json-schema.org/draft-07/schema#", "pattern": "^(a+)+$"}
    schema = {"$ref": "#/components/hard", "components": {"hard": inner}}
    assert "does not match" in fault(json.dumps("a" * 40 + "!"), schema)


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


@pytest.mark.parametrize("deep", [False, True])
def test_no_check_of_unique_items_goes_on_beyond_its_time(deep: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Any] = []

    def noted(value: Any) -> Any:
        read.append(value)
        return value

    monkeypatch.setattr(answer_format, "_number_key", noted)
    numbers = list(range(10_000))
    ticks = itertools.count()
    clock = SimpleNamespace(monotonic=lambda: next(ticks) / 100)
    monkeypatch.setattr(answer_format, "time", clock)
    assert fault(json.dumps([numbers, []] if deep else numbers), {"uniqueItems": True}) == ""
    assert len(read) < 1_000


@pytest.mark.parametrize(
    "items",
    [
        "1, 1.0",
        "100000000000000000000000, 1e23",
        "0, -0.0",
        '{"a": 1, "b": [2]}, {"b": [2], "a": 1}',
        "null, null",
    ],
)
def test_equal_items_are_not_unique(items: str) -> None:
    assert "non-unique" in fault(f"[{items}]", {"uniqueItems": True})


def test_other_items_are() -> None:
    assert fault('[1, true, "1", null, [1], [[1]], {"a": 1}, {"a": 2}, 0, false, ""]', {"uniqueItems": True}) == ""


@pytest.mark.parametrize(
    "dialect", ["http://json-schema.org/draft-04/schema#", "http://json-schema.org/draft-07/schema#"]
)
def test_a_schema_is_read_in_its_dialect(dialect: str) -> None:
    schema = {"$schema": dialect, "items": [{"type": "string"}], "definitions": {}}
    assert fault('["a", 2]', schema) == ""
    assert "[0]" in fault("[1, 2]", schema)
