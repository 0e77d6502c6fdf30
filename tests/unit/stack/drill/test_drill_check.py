"""The drill sees what is lost and what is doubled (k8gentai.stack.drill.check)."""

from collections import Counter

import pytest

from k8gentai.agents.contract.events import (
    Event,
    ItemDone,
    ItemDropped,
    ItemStarted,
    MessageDone,
    ReasoningDelta,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallStarted,
    ToolResult,
    TurnAccepted,
    TurnCancelled,
    TurnCompleted,
    TurnStarted,
)
from k8gentai.stack.drill.check import check_events, check_kept, check_stream
from k8gentai.stack.drill.report import TurnReport, add_up

BEGIN: list[Event] = [TurnAccepted(), TurnStarted(attempt=1, worker="w")]
CALL = ToolCall(call_id="c1", name="add", arguments='{"a": 1}')
RESULT = ToolResult(call_id="c1", output="1")
TEXT: list[Event] = [
    TextDelta(message_id="m1", delta="One "),
    TextDelta(message_id="m1", delta="two."),
    MessageDone(message_id="m1", text="One two."),
]
GOOD: list[Event] = [
    *BEGIN,
    ReasoningDelta(message_id="m0", delta="Hm."),
    ToolCallStarted(call_id="c1", name="add"),
    ToolCallDelta(call_id="c1", delta='{"a":'),
    ToolCallDelta(call_id="c1", delta="1}"),
    CALL,
    MessageDone(message_id="m0", text="", reasoning="Hm."),
    RESULT,
    TurnStarted(attempt=2, worker="x"),
    TextDelta(message_id="m1", delta="One or"),
    ItemDropped(item_id="m1"),
    *TEXT,
    ItemStarted(item={"id": "i1"}),
    ItemDone(item={"id": "i1"}),
    ToolCall(call_id="c2", name="ask", arguments="{}", side="client"),
    TurnCompleted(),
]


def found(events):
    findings = check_events(enumerate(events, 1))
    return findings.lost, findings.doubled


def test_a_good_turn_is_found_good() -> None:
    assert found(GOOD) == ([], [])


MISSED = [4, 5, 6, 7, 8, 11, 12, 13, 14, 16]
"""The events of GOOD that no turn of its kind goes without."""
TOLD = [number for number in range(1, len(GOOD)) if number not in (10, 11)]
"""Those that are not to be there twice. What is dropped may say anything, and be dropped again."""


@pytest.mark.parametrize("gone", MISSED)
def test_an_event_that_is_missing_is_seen(gone: int) -> None:
    """Though the numbers have no gap."""
    assert any(found(GOOD[:gone] + GOOD[gone + 1 :])), GOOD[gone]


@pytest.mark.parametrize("number", TOLD)
def test_an_event_that_is_there_twice_is_seen(number: int) -> None:
    assert found([*GOOD[: number + 1], GOOD[number], *GOOD[number + 1 :]])[1], GOOD[number]


@pytest.mark.parametrize(
    ("events", "lost", "doubled"),
    [
        ([*BEGIN, CALL, TurnCompleted()], ["tool.result of c1"], []),
        ([*BEGIN, CALL, TurnCancelled()], [], []),
        ([*BEGIN, TEXT[0], TurnCompleted()], ["the end of m1"], []),
        ([*BEGIN, TEXT[0], TEXT[2], TurnCompleted()], ["the end of the text of m1"], []),
        ([*BEGIN, TEXT[1], TEXT[2], TurnCompleted()], [], ["pieces of the text of m1"]),
        ([*BEGIN, *TEXT[:2], *TEXT, TurnCompleted()], [], ["pieces of the text of m1"]),
        ([*BEGIN, *TEXT, TEXT[0], TurnCompleted()], [], ["text.delta of m1, which was whole"]),
        ([*BEGIN, *TEXT, TEXT[2], TurnCompleted()], [], ["message.done of m1"]),
        ([*BEGIN, *TEXT, ItemDropped(item_id="m1"), TEXT[2], TurnCompleted()], [], []),
        ([*BEGIN, TurnCompleted(), TEXT[0]], [], ["text.delta after the end"]),
        ([*BEGIN, TurnCompleted(), TurnCompleted()], [], ["turn.completed after the end"]),
        ([*BEGIN, BEGIN[1], TurnCompleted()], [], ["attempt 1"]),
        ([*BEGIN, RESULT, TurnCompleted()], ["tool.call of c1, which has a result", "the end of c1"], []),
    ],
)
def test_what_is_wrong_is_named(events: list[Event], lost: list[str], doubled: list[str]) -> None:
    assert found(events) == (lost, doubled)


def test_numbers_that_are_missing_or_there_twice_are_seen() -> None:
    entries = list(enumerate(GOOD, 1))
    assert check_events([*entries[:3], *entries[4:]]).lost[0] == "events 4 to 4"
    assert check_events([*entries[:3], *entries[2:]]).doubled[0] == "event 3"


STREAM = [
    {"type": kind, "sequence_number": number} for number, kind in enumerate(["a", "b", "response.completed"])
]


@pytest.mark.parametrize(
    ("read", "again", "lost", "doubled"),
    [
        (STREAM, STREAM, 0, 0),
        (STREAM[:1] + STREAM[2:], STREAM, 2, 0),
        (STREAM[:2] + STREAM[1:], STREAM, 0, 1),
        (STREAM, [STREAM[0], {**STREAM[1], "delta": "x"}, STREAM[2]], 1, 0),
        (STREAM, STREAM[:2], 1, 0),
        (STREAM, [*STREAM, {"type": "c", "sequence_number": 3}], 1, 1),
    ],
)
def test_a_stream_is_compared_with_itself_read_again(read, again, lost: int, doubled: int) -> None:
    findings = check_stream(read, again)
    assert (len(findings.lost), len(findings.doubled)) == (lost, doubled)


RESPONSE = {"output": [{"type": "message"}]}
READ = [*STREAM[:2], {**STREAM[2], "response": RESPONSE}]


@pytest.mark.parametrize(
    ("read", "response", "lost", "doubled"),
    [(READ, RESPONSE, 0, 0), (READ[:1] + READ[2:], RESPONSE, 1, 0), (READ, {"output": []}, 1, 0)],
)
def test_a_turn_that_redis_kept_no_longer_is_compared_with_its_response(
    read, response, lost: int, doubled: int
) -> None:
    findings = check_kept(read, response)
    assert (len(findings.lost), len(findings.doubled)) == (lost, doubled)


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": "endless"},
        {"lost": ["an event"]},
        {"doubled": ["an event"]},
        {"models_repeated": 1},
        {"tools_repeated": 1},
    ],
)
def test_one_thing_wrong_with_one_turn_makes_the_report_tell(wrong: dict) -> None:
    good = TurnReport(id="resp_1", status="completed", recoveries=[("worker killed", 4.0), ("worker killed", 2.0)])
    bad = TurnReport(**{"id": "resp_2", "status": "completed", **wrong})
    assert add_up("a", 1, [good], Counter(), 1).clean
    report = add_up("a", 1, [good, bad], Counter(), 1)
    assert not report.clean
    assert report.findings == [bad]
    assert report.recovery["worker killed"].model_dump() == {"count": 2, "median": 3.0, "longest": 4.0}
