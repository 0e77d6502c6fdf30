"""Responses API items as chat messages."""

from typing import Any

import pytest

from k8gentai.agents.adapters.base.messages import NO_RESULT, to_messages
from k8gentai.agents.contract.turn import RequestError


def call(call_id, name="add", arguments='{"a": 1}'):
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}


def output(call_id, text):
    return {"type": "function_call_output", "call_id": call_id, "output": text}


def mcp(item_id, **fields):
    return {"type": "mcp_call", "id": item_id, "name": "add", "arguments": '{"a": 1}', **fields}


def asked(*call_ids, content="", arguments='{"a": 1}'):
    calls = [{"id": i, "type": "function", "function": {"name": "add", "arguments": arguments}} for i in call_ids]
    return {"role": "assistant", "content": content, "tool_calls": calls}


def answered(call_id, text):
    return {"role": "tool", "tool_call_id": call_id, "content": text}


def test_messages_of_either_shape():
    items: list[dict[str, Any]] = [
        {"role": "developer", "content": "Be brief."},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi "}]},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "No. "}, {"type": "refusal", "refusal": "Sorry."}],
        },
    ]
    assert to_messages(items, "Be kind.") == [
        {"role": "system", "content": "Be kind."},
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi "},
        {"role": "assistant", "content": "No. Sorry."},
    ]


def test_images_and_files_stay_beside_the_text():
    content = [
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "low"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="},
    ]
    assert to_messages([{"role": "user", "content": content}])[0]["content"] == [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}},
    ]


def test_function_calls_of_one_answer_are_one_message_with_its_text():
    items = [
        {"role": "assistant", "content": "I add."},
        call("c1"),
        call("c2"),
        output("c2", "two"),
        output("c1", [{"type": "input_text", "text": "one"}]),
        call("c3"),
        output("c3", "three"),
    ]
    assert to_messages(items) == [
        asked("c1", "c2", content="I add."),
        answered("c1", "one"),
        answered("c2", "two"),
        asked("c3"),
        answered("c3", "three"),
    ]


def test_results_that_came_late_stand_behind_their_call():
    items = [call("c1"), {"role": "user", "content": "And?"}, output("c1", "one")]
    assert to_messages(items) == [asked("c1"), answered("c1", "one"), {"role": "user", "content": "And?"}]


def test_the_workers_own_tools_are_a_call_and_a_result_each():
    items = [
        {"role": "user", "content": "Add."},
        mcp("mcp_1", output="2"),
        mcp("mcp_2", error="out of order"),
        mcp("mcp_3"),
        {"role": "assistant", "content": "Two."},
    ]
    assert to_messages(items) == [
        {"role": "user", "content": "Add."},
        asked("mcp_1"),
        answered("mcp_1", "2"),
        asked("mcp_2"),
        answered("mcp_2", "Error: out of order"),
        asked("mcp_3"),
        answered("mcp_3", NO_RESULT),
        {"role": "assistant", "content": "Two."},
    ]


def _approval(request_id):
    request = {"type": "mcp_approval_request", "id": request_id, "name": "add", "arguments": "{}"}
    return request, {"type": "mcp_approval_response", "approval_request_id": request_id, "approve": True}


def test_a_call_that_was_approved_at_once_is_of_the_message_before():
    said = {"role": "assistant", "content": "I add."}
    (one, yes), (other, no) = _approval("r1"), _approval("r2")
    items = [said, one, other, yes, no, mcp("c1", output="2")]
    assert to_messages(items) == [asked("c1", content="I add."), answered("c1", "2")]


def test_a_call_that_was_approved_after_another_turn_is_a_message_of_its_own():
    request, response = _approval("r1")
    user, said = ({"role": role, "content": "In between."} for role in ("user", "assistant"))
    last = {"role": "assistant", "content": "Added."}
    items = [
        {"role": "assistant", "content": "I add."},
        request,
        user,
        said,
        response,
        mcp("c1", output="2"),
        last,
    ]
    assert to_messages(items) == [items[0], user, said, asked("c1"), answered("c1", "2"), last]


def test_what_says_nothing_to_a_model_is_left_out():
    items: list[dict[str, Any]] = [
        {"type": "reasoning", "summary": []},
        {"type": "web_search_call", "status": "completed"},
        {"role": "user", "content": "Hi"},
    ]
    assert to_messages(items) == [{"role": "user", "content": "Hi"}]


@pytest.mark.parametrize("arguments", ["", '{"a": ', "[1]"])
def test_arguments_that_servers_would_refuse_are_emptied(arguments):
    messages = to_messages([call("c1", arguments=arguments), output("c1", "bad")])
    assert messages[0] == asked("c1", arguments="{}")


def test_the_latest_call_of_an_id_is_answered():
    items = [call("c1"), output("c1", "old"), call("c1"), output("c1", "new")]
    assert [m["content"] for m in to_messages(items) if m["role"] == "tool"] == ["old", "new"]


def test_an_output_without_a_call_is_refused():
    with pytest.raises(RequestError, match="call_id 'c9'"):
        to_messages([output("c9", "what?")])
