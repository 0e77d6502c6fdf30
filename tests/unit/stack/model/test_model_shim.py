"""The shim that makes tool calls out of a small model: requests in, requests out."""

import json
from typing import Any

import pytest

from k8gentai.stack.model import replies, shim

NUMBER_PAIR = {"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "number"}}}


def tool(name: str, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
    function = {"name": name, "description": f"{name} two numbers.", "parameters": parameters or NUMBER_PAIR}
    return {"type": "function", "function": function}


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def called(name: str, arguments: dict[str, Any], result: str) -> list[dict[str, Any]]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return [
        {"role": "assistant", "content": None, "tool_calls": [{"id": "call_1", "function": function}]},
        {"role": "tool", "tool_call_id": "call_1", "content": result},
    ]


def names(request: dict[str, Any]) -> list[str]:
    return [found["name"] for found in shim.offered(request, shim.read_round(request["messages"]))]


def test_what_is_no_text_is_named() -> None:
    image, text = {"type": "image_url", "image_url": {"url": "u"}}, {"type": "text", "text": "t"}
    messages = [
        user("What is it?"),
        {"role": "user", "content": [text, image, image, {"type": "file", "file": {}}]},
    ]
    assert shim.unread_parts([*messages, *called("add", {}, "3")]) == ["file", "image_url"]
    assert shim.unread_parts([{"role": "user", "content": [text]}]) == []


def test_a_question_with_numbers_is_offered_the_tools() -> None:
    request = {"messages": [user("What is 17 times 23?")], "tools": [tool("add"), tool("multiply")]}
    assert names(request) == ["add", "multiply"]


def test_a_question_without_numbers_is_offered_no_tool_that_requires_some() -> None:
    search = tool("search", {"type": "object", "properties": {"query": {"type": "string"}}})
    assert names({"messages": [user("Who are you?")], "tools": [tool("add"), search]}) == ["search"]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [("none", []), ("required", ["add", "divide"]), ({"function": {"name": "divide"}}, ["divide"])],
)
def test_tool_choice_is_honoured(choice: Any, expected: list[str]) -> None:
    tools = [tool("add"), tool("divide")]
    assert names({"messages": [user("4 and 2")], "tools": tools, "tool_choice": choice}) == expected


def test_after_the_result_of_all_numbers_the_model_is_to_answer() -> None:
    messages = [user("What is 17 times 23?"), *called("multiply", {"a": 17, "b": 23}, "391.0")]
    assert names({"messages": messages, "tools": [tool("multiply")]}) == []
    now = shim.read_round(messages)
    assert now.results == ["391"]
    grammar = shim.answer_request(now, "m")["grammar"]
    assert grammar.splitlines()[0].endswith('"391."')


def test_more_numbers_than_a_call_takes_are_read_from_left_to_right() -> None:
    tools = [tool("add")["function"], tool("multiply")["function"]]
    asked = [user("Multiply 3 by 4 and add 5.")]
    first = shim.call_request(tools, shim.read_round(asked), "m")
    assert first["messages"][-1]["content"] == "Multiply 3 by 4"

    then = shim.read_round([*asked, *called("multiply", {"a": 3, "b": 4}, "12.0")])
    assert (then.question, then.numbers) == ("12 and add 5.", ["12", "5"])
    assert names({"messages": [*asked, *called("multiply", {"a": 3, "b": 4}, "12")], "tools": [tool("add")]}) == [
        "add"
    ]

    calls = [*called("multiply", {"a": 3, "b": 4}, "12"), *called("add", {"a": 12, "b": 5}, "17")]
    last = shim.read_round([*asked, *calls])
    assert (last.answered, last.numbers) == ("12 and add 5", ["17"])
    assert shim.offered({"tools": [tool("add")]}, last) == []


def test_calls_end_even_where_the_model_uses_other_numbers() -> None:
    messages = [user("Add 3 and 4."), *called("add", {"a": 1, "b": 1}, "2"), *called("add", {"a": 1, "b": 1}, "2")]
    assert names({"messages": messages, "tools": [tool("add")]}) == []


def test_a_follow_up_question_takes_the_number_of_the_answer_before() -> None:
    messages = [user("What is 2 + 2?"), {"role": "assistant", "content": "2 + 2 is 4."}, user("Now add 9 to it.")]
    now = shim.read_round(messages)
    assert now.numbers == ["4", "9"]


def test_the_schema_allows_the_numbers_of_the_question_once_each() -> None:
    now = shim.read_round([user("Divide 144 by 12.5")])
    request = shim.call_request([tool("divide")["function"]], now, "m")
    alternatives = request["response_format"]["json_schema"]["schema"]["anyOf"]
    pairs = [(one["properties"]["a"]["const"], one["properties"]["b"]["const"]) for one in alternatives]
    assert pairs == [(144, 12.5), (12.5, 144)]


SEARCH = tool("search", {"type": "object", "properties": {"query": {"type": "string"}}})


def test_a_search_is_for_the_question_itself() -> None:
    now = shim.read_round([user("How much is delivery to France?")])
    schema = shim.call_request([SEARCH["function"]], now, "m")["response_format"]["json_schema"]["schema"]
    assert schema["anyOf"][0]["properties"]["query"] == {"const": "How much is delivery to France?"}


def test_of_what_a_search_found_the_model_is_shown_the_nearest_sentence() -> None:
    found = """file_search tool found 2 chunks:
[1] document_id: file-1, attributes: {'filename': 'delivery.md'} cite as <|file-1|>
Orders placed before noon leave the same day. Within Belgium a parcel costs 4 euros;
to France it costs 9 euros. From 50 euros on, delivery is free.

[2] document_id: file-2, attributes: {'filename': 'returns.md'} cite as <|file-2|>
# Returns
Unopened bags may be returned, in the shop or by post. Gift cards cannot be refunded.

END of file_search tool results.
The above results answer the query: "How many euros does a parcel to France cost?". Cite sources.
"""
    messages = [user("How many euros does a parcel to France cost?"), *called("search", {"query": "…"}, found)]
    asked = shim.answer_request(shim.read_round(messages), "m")["messages"][-1]["content"]
    assert asked.endswith("Result: Within Belgium a parcel costs 4 euros; to France it costs 9 euros.")


def test_content_parts_are_read_as_text() -> None:
    parts = [{"type": "text", "text": "What is"}, {"type": "text", "text": "6 times 7?"}]
    assert shim.read_round([{"role": "user", "content": parts}]).numbers == ["6", "7"]


def test_a_call_is_read_back() -> None:
    assert shim.read_call('{"tool": "add", "a": 1, "b": 2.5}') == ("add", '{"a": 1, "b": 2.5}')


@pytest.mark.parametrize("content", ['{"tool": "add", "a"', "[]", '{"a": 1}'])
def test_half_a_call_is_an_error(content: str) -> None:
    with pytest.raises(ValueError, match="whole tool call"):
        shim.read_call(content)


def test_the_stream_carries_the_same_call_and_ends_with_usage() -> None:
    lines = list(replies.chunks("add", '{"a": 1}', {"total_tokens": 7}))
    assert lines[-1] == "data: [DONE]\n\n"
    sent = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
    deltas = [chunk["choices"][0]["delta"] for chunk in sent if chunk["choices"]]
    arguments = "".join(call["function"]["arguments"] for delta in deltas for call in delta.get("tool_calls", []))
    assert arguments == '{"a": 1}'
    assert deltas[0]["tool_calls"][0]["function"]["name"] == "add"
    assert sent[-2]["choices"][0]["finish_reason"] == "tool_calls"
    assert sent[-1]["usage"] == {"total_tokens": 7}
