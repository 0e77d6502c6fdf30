"""The renderer: complete, in order, without gaps, and the same every time."""

from typing import Any

import pytest
from llama_stack_api import OpenAIResponseObject
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from k8gentai.agents.contract import events as ev
from k8gentai.agents.contract.turn import Turn
from k8gentai.providers.ids import belongs_to
from k8gentai.providers.rendering.render import Rendering, StreamEvent, render
from k8gentai.workers.queue.record import Answer, Replay, TurnRecord

STREAM_EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
TURN_ID = "resp_0192f3a0c1d27e3fb1234567890abcde"


def accepted(**changes: Any) -> TurnRecord:
    turn = Turn(
        id=TURN_ID,
        agent="langgraph-math",
        input=[{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}],
        tools=changes.pop("tools", []),
        conversation=changes.pop("conversation", None),
    )
    return TurnRecord(turn=turn, framework="langgraph", status="queued", accepted_at=1_700_000_000.9, **changes)


START: list[ev.Event] = [ev.TurnAccepted(), ev.TurnStarted(attempt=1, worker="w1")]

MATH: list[ev.Event] = [
    *START,
    ev.StepStarted(step_id="s1", kind="inference"),
    ev.ReasoningDelta(message_id="m0", delta="two products"),
    ev.ToolCallStarted(call_id="c1", name="multiply"),
    ev.ToolCallDelta(call_id="c1", delta='{"a": 2,'),
    ev.ToolCallStarted(call_id="c2", name="add"),
    ev.ToolCallDelta(call_id="c1", delta=' "b": 3}'),
    ev.ToolCall(call_id="c1", name="multiply", arguments='{"a": 2, "b": 3}'),
    ev.ToolCall(call_id="c2", name="add", arguments='{"a": 1, "b": 1}', server_label="calculator"),
    ev.Usage(model="m", input_tokens=10, output_tokens=5, cached_tokens=4, reasoning_tokens=2),
    ev.StepCompleted(step_id="s1", kind="inference"),
    ev.ToolResult(call_id="c2", output="2"),
    ev.ToolResult(call_id="c1", output="6"),
    ev.TextDelta(message_id="m1", delta="It is "),
    ev.TextDelta(message_id="m1", delta="6"),
    ev.MessageDone(message_id="m1", text="It is 6."),
    ev.Usage(model="m", input_tokens=20, output_tokens=6),
    ev.TurnCompleted(),
]

CITED = {"type": "url_citation", "start_index": 0, "end_index": 2, "title": "T", "url": "https://example.org"}
SEARCH = {"type": "web_search_call", "id": "fw1", "action": {"type": "search", "query": "q"}}
ITEMS: list[ev.Event] = [
    *START,
    ev.ItemStarted(item={**SEARCH, "status": "in_progress"}),
    ev.ItemProgress(item_id="fw1", event={"type": "response.web_search_call.searching"}),
    ev.ItemDone(item={**SEARCH, "status": "completed"}),
    ev.ToolCall(call_id="f1", name="where_am_i", arguments="{}", side="client"),
    ev.MessageDone(message_id="m1", text="Here", annotations=[CITED]),
    ev.TurnCompleted(),
]

HIT = {"file_id": "file-1", "filename": "a.txt", "score": 0.5, "text": "Ghent", "attributes": {}}


def _search(call_id: str, arguments: str) -> ev.ToolCall:
    return ev.ToolCall(call_id=call_id, name="file_search", arguments=arguments, shown_as="file_search_call")


SEARCHES: list[ev.Event] = [
    *START,
    _search("c1", '{"query": "canals"}'),
    _search("c2", "no json"),
    ev.ToolResult(call_id="c1", output="Ghent", results=[HIT]),
    ev.ToolResult(call_id="c2", output="no query", is_error=True),
    ev.ToolCall(call_id="c3", name="web_search", arguments='{"query": "rain"}', shown_as="web_search_call"),
    ev.ToolResult(call_id="c3", output="Rain."),
    _search("c4", '{"query": "late"}'),
    ev.TurnFailed(code="server_error", message="the model is away"),
]

SUSPENDED: list[ev.Event] = [
    *START,
    ev.ToolCall(call_id="c1", name="delete", arguments="{}"),
    ev.Interrupt(call_id="c1", name="delete", arguments="{}"),
    ev.TurnSuspended(expires_at=0),
]

TWO_ATTEMPTS: list[ev.Event] = [
    *START,
    ev.ToolCall(call_id="c1", name="add", arguments="{}"),
    ev.Usage(model="m", input_tokens=1, output_tokens=1),
    ev.TextDelta(message_id="m1", delta="Half an ans"),
    ev.TurnStarted(attempt=2, worker="w2"),
    ev.ItemDropped(item_id="c1"),
    ev.ItemDropped(item_id="m1"),
    ev.TextDelta(message_id="m1", delta="A whole answer"),
    ev.MessageDone(message_id="m1", text="A whole answer"),
    ev.Usage(model="m", input_tokens=1, output_tokens=1),
    ev.TurnCompleted(),
]

CUT_SHORT: list[ev.Event] = [*START, ev.TextDelta(message_id="m1", delta="Half")]
FAILED: list[ev.Event] = [*CUT_SHORT, ev.TurnFailed(code="server_error", message="the model is away")]
CANCELLED: list[ev.Event] = [*CUT_SHORT, ev.TurnCancelled()]
INCOMPLETE: list[ev.Event] = [*CUT_SHORT, ev.TurnIncomplete(reason="max_output_tokens")]

TURNS = {
    "math": MATH,
    "items": ITEMS,
    "searches": SEARCHES,
    "suspended": SUSPENDED,
    "two attempts": TWO_ATTEMPTS,
    "failed": FAILED,
    "cancelled": CANCELLED,
    "incomplete": INCOMPLETE,
}


def types(stream: list[StreamEvent]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in stream]


@pytest.mark.parametrize("events", TURNS.values(), ids=TURNS)
@pytest.mark.parametrize("background", [False, True])
def test_every_event_is_one_the_openai_sdk_knows(events: list[ev.Event], background: bool) -> None:
    stream, response = render(accepted(background=background), events, ended_at=1_700_000_005.5)
    for event in stream:
        STREAM_EVENT.validate_python(event)
    Response.model_validate(response)
    OpenAIResponseObject.model_validate(response)


@pytest.mark.parametrize("events", TURNS.values(), ids=TURNS)
def test_sequence_has_no_gaps_and_the_last_event_carries_the_response(events: list[ev.Event]) -> None:
    stream, response = render(accepted(), events, ended_at=1.0)
    assert [event["sequence_number"] for event in stream] == list(range(len(stream)))
    assert stream[-1]["response"] == response


@pytest.mark.parametrize("events", TURNS.values(), ids=TURNS)
def test_a_shorter_stream_is_the_beginning_of_a_longer_one(events: list[ev.Event]) -> None:
    whole, _ = render(accepted(), events, ended_at=1.0)
    for length in range(len(events)):
        part, _ = render(accepted(), events[:length])
        assert part == whole[: len(part)]


@pytest.mark.parametrize("events", TURNS.values(), ids=TURNS)
def test_items_open_once_close_once_and_are_closed_at_the_end(events: list[ev.Event]) -> None:
    stream, response = render(accepted(), events, ended_at=1.0)
    added = [event["item"]["id"] for event in stream if event["type"] == "response.output_item.added"]
    done = [event["item"]["id"] for event in stream if event["type"] == "response.output_item.done"]
    assert len(set(added)) == len(added)
    assert sorted(added) == sorted(done)
    assert [int(id_[-4:], 16) for id_ in added] == list(range(1, len(added) + 1))
    assert all(belongs_to(TURN_ID, id_) for id_ in added)
    assert {item["id"] for item in response["output"]} <= set(added)


def test_order_of_a_turn_with_parallel_tools() -> None:
    stream, response = render(accepted(), MATH, ended_at=1_700_000_005.5)
    assert types(stream) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "reasoning_text.delta",
        "reasoning_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "mcp_call.in_progress",
        "mcp_call_arguments.delta",
        "output_item.added",
        "mcp_call.in_progress",
        "mcp_call_arguments.delta",
        "mcp_call_arguments.done",
        "mcp_call_arguments.delta",
        "mcp_call_arguments.done",
        "mcp_call.completed",
        "output_item.done",
        "mcp_call.completed",
        "output_item.done",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    finished = [event["item"] for event in stream if event["type"] == "response.output_item.done"]
    assert [item.get("output") for item in finished] == [None, "2", "6", None]
    reasoning, multiply, add, message = response["output"]
    assert reasoning["content"] == [{"type": "reasoning_text", "text": "two products"}]
    assert (multiply["arguments"], multiply["output"], multiply["server_label"]) == (
        '{"a": 2, "b": 3}',
        "6",
        "langgraph-math",
    )
    assert (add["server_label"], add["output"], add["status"]) == ("calculator", "2", "completed")
    assert message["content"][0] == {
        "type": "output_text",
        "text": "It is 6.",
        "annotations": [],
        "logprobs": [],
    }
    assert response["completed_at"] == 1_700_000_005
    assert response["usage"] == {
        "input_tokens": 30,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
        "output_tokens": 11,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 41,
    }


def test_a_whole_call_stands_for_its_parts() -> None:
    stream, _ = render(accepted(), [*START, ev.ToolCall(call_id="c", name="add", arguments='{"a": 1}')])
    assert types(stream)[2:] == [
        "output_item.added",
        "mcp_call.in_progress",
        "mcp_call_arguments.delta",
        "mcp_call_arguments.done",
    ]
    assert stream[2]["item"]["arguments"] == ""
    assert stream[4]["delta"] == stream[5]["arguments"] == '{"a": 1}'


def test_searches_are_items_of_their_own() -> None:
    stream, response = render(accepted(), SEARCHES)
    files, failed, web, late = response["output"]
    assert (files["type"], files["status"]) == ("file_search_call", "completed")
    assert (files["queries"], files["results"]) == (["canals"], [HIT])
    assert (failed["status"], failed["queries"], failed["results"]) == ("failed", [], None)
    assert (web["type"], web["action"]) == ("web_search_call", {"type": "search", "query": "rain"})
    assert late["status"] == "incomplete"
    for item in (files, web):
        told = [event["type"] for event in stream if event.get("item_id") == item["id"]]
        assert told == [f"response.{item['type']}.{state}" for state in ("in_progress", "searching", "completed")]


def test_logprobs_are_told_with_the_text() -> None:
    token = {"token": "Four", "logprob": -0.25, "bytes": None, "top_logprobs": []}
    said: list[ev.Event] = [
        ev.TextDelta(message_id="m", delta="Four", logprobs=[token]),
        ev.MessageDone(message_id="m", text="Four", logprobs=[token]),
    ]
    stream, response = render(accepted(), [*START, *said, ev.TurnCompleted()])
    assert response["output"][0]["content"][0]["logprobs"] == [token]
    told = {event["type"]: event["logprobs"] for event in stream if "logprobs" in event}
    assert told == {"response.output_text.delta": [token], "response.output_text.done": [token]}


def test_a_tool_that_failed_shows_its_error() -> None:
    failure = ev.ToolResult(call_id="c", output="division by zero", is_error=True)
    events = [*START, ev.ToolCall(call_id="c", name="divide", arguments="{}"), failure, ev.TurnCompleted()]
    stream, response = render(accepted(), events)
    assert "mcp_call.failed" in types(stream)
    call = response["output"][0]
    assert (call["status"], call["error"], call["output"]) == ("failed", "division by zero", None)
    assert response["status"] == "completed"
    OpenAIResponseObject.model_validate(response)


def test_a_client_side_call_ends_when_it_is_whole() -> None:
    _, response = render(accepted(), ITEMS)
    search, call, message = response["output"]
    assert search["id"].startswith("ws_")
    assert (call["type"], call["call_id"], call["status"]) == ("function_call", "f1", "completed")
    assert message["content"][0]["annotations"] == [CITED]


def test_what_a_second_attempt_drops_leaves_nothing_but_its_tokens() -> None:
    stream, response = render(accepted(), TWO_ATTEMPTS)
    assert types(stream).count("in_progress") == 1
    closed = [event["item"] for event in stream if event["type"] == "response.output_item.done"]
    assert [item["status"] for item in closed] == ["incomplete", "incomplete", "completed"]
    assert [item["content"][0]["text"] for item in response["output"]] == ["A whole answer"]
    assert response["usage"]["total_tokens"] == 4


def test_approval_takes_the_place_of_the_call() -> None:
    _, response = render(accepted(), SUSPENDED, ended_at=2.0)
    assert response["status"] == "completed"
    assert [item["type"] for item in response["output"]] == ["mcp_approval_request"]
    assert response["output"][0]["server_label"] == "langgraph-math"


def test_a_question_takes_the_place_of_the_calls_that_ask_it() -> None:
    asking = ev.Interrupt(call_id="q1", name="input", arguments="{}", waiting=["c1"])
    events = [*START, ev.ToolCall(call_id="c1", name="publish", arguments="{}"), asking, SUSPENDED[-1]]
    _, response = render(accepted(), events, ended_at=2.0)
    assert [item["name"] for item in response["output"]] == ["input"]


@pytest.mark.parametrize("is_dropped", [True, False])
def test_a_call_that_ends_without_the_question_it_asked_has_its_result(is_dropped: bool) -> None:
    """Its worker died, and the next one may not run it again."""
    asking = ev.Interrupt(call_id="q1", name="input", arguments="{}", waiting=["c1"])
    lost = ev.ToolResult(call_id="c1", output="it is not known", is_error=True)
    dropped = [ev.ItemDropped(item_id=ev.request_item("q1"))] if is_dropped else []
    called = ev.ToolCall(call_id="c1", name="publish", arguments="{}")
    events = [*START, called, asking, lost, *dropped, ev.TurnCompleted()]
    _, response = render(accepted(), events, ended_at=2.0)
    (call,) = response["output"]
    assert (call["name"], call["status"], call["error"]) == ("publish", "failed", "it is not known")


@pytest.mark.parametrize(
    "end",
    [
        ev.TurnCompleted(),
        ev.TurnFailed(code="budget_exceeded", message="no more calls"),
        ev.TurnIncomplete(reason="interrupted"),
        ev.TurnCancelled(),
    ],
    ids=lambda end: end.type,
)
def test_a_turn_that_ends_beside_a_waiting_call_asks_nobody(end: ev.Event) -> None:
    _, response = render(accepted(), [*SUSPENDED[:-1], end], ended_at=2.0)
    assert [(item["type"], item["status"]) for item in response["output"]] == [("mcp_call", "incomplete")]


def test_what_a_suspended_turn_asked_stays_when_it_is_cancelled() -> None:
    _, response = render(accepted(), [*SUSPENDED, ev.TurnCancelled()], ended_at=2.0)
    assert [item["type"] for item in response["output"]] == ["mcp_approval_request"]


def test_what_a_suspended_turn_has_not_called_is_not_shown() -> None:
    asking = ev.Interrupt(call_id="q1", name="interrupt", arguments="{}")
    events = [*START, ev.ToolCall(call_id="c1", name="pay", arguments="{}"), asking, SUSPENDED[-1]]
    stream, response = render(accepted(), events, ended_at=2.0)
    assert [item["name"] for item in response["output"]] == ["interrupt"]
    closed = [event["item"] for event in stream if event["type"] == "response.output_item.done"]
    assert ("mcp_call", "incomplete") in [(item["type"], item["status"]) for item in closed]


def test_a_refused_call_that_is_asked_about_anew_is_shown() -> None:
    record = accepted()
    record.turn.input = [
        {"type": "mcp_approval_response", "id": "m0", "approval_request_id": "r1", "approve": False}
    ]
    first = Turn(id="resp_0", agent="langgraph-math", input=[])
    record.replay = Replay(of="resp_0", turn=first, answers={"c1": Answer(approve=False, request_id="r1")})
    asking = ev.Interrupt(call_id="c1", name="pay", arguments='{"amount": 7}')
    _, response = render(record, [*START, asking, SUSPENDED[-1]])
    assert [item["arguments"] for item in response["output"]] == ['{"amount": 7}']


@pytest.mark.parametrize(
    ("approvals", "shown"), [([False], []), ([True], ["mcp_call"]), ([True, False], ["mcp_call"])]
)
def test_a_call_that_a_person_refused_is_no_call(approvals: list[bool], shown: list[str]) -> None:
    answers = [
        {"type": "mcp_approval_response", "id": f"m{index}", "approval_request_id": "r1", "approve": approve}
        for index, approve in enumerate(approvals)
    ]
    record = accepted()
    record.turn.input = answers
    first = Turn(id="resp_0", agent="langgraph-math", input=[])
    answer = Answer(approve=approvals == [True], request_id="r1")
    record.replay = Replay(of="resp_0", turn=first, answers={"c1": answer})
    events = [
        *START,
        ev.ToolCall(call_id="c1", name="delete", arguments="{}"),
        ev.ToolResult(call_id="c1", output="a person did not approve this call", is_error=True),
        ev.MessageDone(message_id="m1", text="So not."),
        ev.TurnCompleted(),
    ]
    stream, response = render(record, events)
    assert [item["type"] for item in response["output"]] == [*shown, "message"]
    assert types(stream).count("output_item.added") == len(shown) + 1


def test_ends() -> None:
    failed, cancelled, incomplete = (render(accepted(), events) for events in (FAILED, CANCELLED, INCOMPLETE))
    assert failed[0][-1]["type"] == "response.failed"
    assert failed[1]["error"]["message"] == "the model is away"
    assert cancelled[0][-1]["type"] == "response.incomplete"
    assert cancelled[1]["status"] == "cancelled"
    assert incomplete[1]["incomplete_details"] == {"reason": "max_output_tokens"}
    for _, response in (failed, cancelled, incomplete):
        assert response["output"][0]["status"] == "incomplete"


def test_a_turn_under_way_shows_what_there_is() -> None:
    rendering = Rendering(accepted(background=True))
    assert [event["type"] for event in rendering.feed(ev.TurnAccepted())] == [
        "response.created",
        "response.queued",
    ]
    assert rendering.response()["status"] == "queued"
    for event in CUT_SHORT[1:]:
        rendering.feed(event)
    response = rendering.response()
    assert (response["status"], response["usage"]) == ("in_progress", None)
    assert response["output"][0]["content"][0]["text"] == "Half"


def test_request_parameters_are_echoed() -> None:
    request = {
        "model": "amf/langgraph-math",
        "temperature": 0.2,
        "metadata": {"k": "v"},
        "service_tier": "auto",
    }
    tools = [
        {
            "type": "mcp",
            "server_label": "s",
            "server_url": "http://s",
            "authorization": "secret",
            "headers": {},
        },
        {"type": "function", "name": "f", "parameters": {}},
    ]
    record = accepted(request=request, tools=tools, conversation="conv_1", previous_response_id=None)
    _, response = render(record, MATH, ended_at=1.0)
    assert response["model"] == "amf/langgraph-math"
    assert response["temperature"] == 0.2
    assert response["metadata"] == {"k": "v"}
    assert response["conversation"] == {"id": "conv_1"}
    assert "secret" not in str(response)
    assert response["tools"][1] == {
        "type": "function",
        "name": "f",
        "description": None,
        "parameters": {},
        "strict": None,
    }
    assert response["text"] == {"format": {"type": "text"}}


def test_every_event_names_its_response_as_llama_stacks_client_wants_it() -> None:
    stream, response = render(accepted(), MATH)
    for event in stream:
        named = event["response"]["id"] if "response" in event else event["response_id"]
        assert named == response["id"]
