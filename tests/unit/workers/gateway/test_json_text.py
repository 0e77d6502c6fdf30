"""Results of tools that Python wrote as JSON are JSON for everyone; any other text is left alone."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from k8gentai.agents.contract.events import ToolResult
from k8gentai.agents.text.json_text import arguments_object, read_json, result_json
from k8gentai.workers.gateway.strict_json import with_json_arguments, with_json_results

WORDS = st.sampled_from(["NaN", "-Infinity", '"NaN', "\\", '\\"', "[NaN]", "é", "\u2028"])
TEXTS = st.lists(WORDS | st.text(max_size=3), max_size=4).map("".join)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
)


def refuse(name: str) -> None:
    pytest.fail(f"{name} is not JSON")


@given(st.lists(VALUES, max_size=4), st.sampled_from([None, 2]), st.booleans())
def test_what_python_writes_is_the_same_json_with_null_in_place_of_what_is_no_number(
    value: list[Any], indent: int | None, ascii_only: bool
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert json.loads(result_json(text), parse_constant=refuse) == read_json(text)


@given(TEXTS)
def test_a_text_that_is_no_json_object_or_array_is_left_alone(text: str) -> None:
    try:
        is_json = isinstance(json.loads(text), dict | list)
    except ValueError:
        is_json = False
    if not is_json:
        assert result_json(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"mean": NaN, "max":-Infinity}', '{"mean": null, "max":null}'),
        ('\n[1.50, Infinity, "NaN"]', '\n[1.50, null, "NaN"]'),
        ('{"NaN": "Infinity"}', '{"NaN": "Infinity"}'),
        ("NaN", "NaN"),
        ("[NaN] is what came", "[NaN] is what came"),
        ("[" * 9999 + "NaN", "[" * 9999 + "NaN"),
    ],
)
def test_events_and_models_get_the_same(text: str, shown: str) -> None:
    assert ToolResult(call_id="c", output=text).output == shown
    messages = [
        {"role": "user", "content": text},
        {"role": "tool", "content": text},
        {"role": "tool", "content": [{"type": "text", "text": text}, text, {"type": "image_url"}, 3]},
        {"role": "assistant", "content": None},
        None,
    ]
    assert with_json_results({"messages": messages})["messages"] == [
        messages[0],
        {"role": "tool", "content": shown},
        {"role": "tool", "content": [{"type": "text", "text": shown}, shown, {"type": "image_url"}, 3]},
        *messages[3:],
    ]


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ('{"amount":3.0}', '{"amount":3.0}'),
        ('{"amount": NaN, "é": [-Infinity]}', '{"amount": null, "é": [null]}'),
        ('{"amount": 1e999}', '{"amount": null}'),
        ('{"amo', "{}"),
        ("[1]", "{}"),
        ("", ""),
        ('{"a":' * 100 + "1" + "}" * 100, '{"a":' * 100 + "1" + "}" * 100),
        ('{"a":' + "[" * 100 + "]" * 100 + "}", "{}"),
    ],
)
def test_the_arguments_of_calls_are_json_in_every_request(written: str, shown: str) -> None:
    def message(arguments: object) -> dict[str, object]:
        return {"role": "assistant", "tool_calls": [{"id": "a", "function": {"arguments": arguments}}, None]}

    assert with_json_arguments({"messages": [message(written)]}) == {"messages": [message(shown)]}
    assert with_json_arguments({"messages": [message({"a": 1})]}) == {"messages": [message({"a": 1})]}
    assert (arguments_object(written) is not None) == (written == shown != "")


def test_a_call_without_messages_is_left_alone() -> None:
    for read in (with_json_arguments, with_json_results):
        assert read({"messages": "?"}) == {"messages": "?"}
        assert read({}) == {}


def test_a_result_is_written_once_however_long_it_is() -> None:
    """An escaped string of many quotes is read without going back."""
    text = json.dumps(['\\"' * 100_000, float("nan")])
    assert re.search("null", result_json(text))


@pytest.mark.parametrize("deep", ["[" * 100_000, "[" * 100_000 + "]" * 100_000])
def test_what_is_nested_too_deeply_is_not_read(deep: str) -> None:
    with pytest.raises(ValueError, match="nested too deeply"):
        read_json(deep)
