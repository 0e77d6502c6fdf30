"""What agents hand over becomes events and entries that can be written, whatever it is."""

import math

import pytest

from k8gentai.agents.contract.events import ItemDone, TextDelta, ToolResult, TurnFailed, parse_event
from k8gentai.agents.contract.turn import ToolOutcome
from k8gentai.agents.text.utf8 import encodable, jsonable, message_of
from k8gentai.workers.attempt.journal_entries import ToolEntry

HALF = "\ud800"


class Unprintable(Exception):  # noqa: N818
    def __str__(self):
        raise RuntimeError("no")


class Odd:
    def __str__(self):
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("plain", "plain"),
        ("grüß 😀", "grüß 😀"),
        (f"a{HALF}b", "a\ufffdb"),
        ("\ud83d\ude00", "😀"),
        ("\ude00\ud83d", "\ufffd\ufffd"),
    ],
)
def test_halves_of_surrogate_pairs_are_joined_or_replaced(text, written):
    assert encodable(text) == written


@pytest.mark.parametrize(
    "event",
    [
        TextDelta(message_id=f"m{HALF}", delta=HALF),
        ToolResult(call_id="c", output=HALF, results=[{HALF: [HALF]}]),
        TurnFailed(code="agent_error", message=HALF),
        ItemDone(item={"id": "i", "any": [{1, 2}, b"\xff", Odd(), math.nan, {None: HALF}]}),
        ToolEntry(state="done", output=HALF, raw=HALF, results=[{"a": Odd()}]),
    ],
)
def test_whatever_it_holds_an_event_is_written_and_read_again(event):
    written = event.model_dump_json()
    written.encode()
    if not isinstance(event, ToolEntry):
        assert parse_event(written) == event


def test_what_json_has_no_word_for_is_its_text():
    assert jsonable({"a": (1, math.inf, Odd()), 2: None}) == {"a": [1, None, "<Odd>"], "2": None}


def test_a_list_that_holds_itself_comes_to_an_end():
    endless: list = []
    endless.append(endless)
    assert '"…"' in ItemDone(item={"a": endless}).model_dump_json()


def test_the_message_of_an_error_that_cannot_be_printed():
    assert message_of(ValueError(f"cannot read {HALF}")) == "cannot read \ufffd"
    assert message_of(Unprintable()) == "(its message cannot be printed: RuntimeError)"


def test_a_tools_outcome_is_encodable():
    assert ToolOutcome(HALF, raw=HALF) == ToolOutcome("\ufffd", raw="\ufffd")
