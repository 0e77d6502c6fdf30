"""Records and events of this release and of the one before it, read by each other."""

import json

import pytest
from pydantic import ValidationError

from k8gentai.agents.contract.events import (
    StepStarted,
    TurnAccepted,
    TurnCompleted,
    UnknownEvent,
    known,
    parse_event,
)
from k8gentai.agents.contract.turn import Turn
from k8gentai.providers.agents_api.parts import ClassicPart
from k8gentai.providers.requests.compaction import COMPACTION, is_compaction
from k8gentai.providers.requests.request import RESPONSES
from k8gentai.workers.queue.record import AcceptedTurn

TURN = {"id": "resp_1", "agent": "math", "input": []}
OLD = {
    "turn": TURN,
    "framework": "langgraph",
    "implicit": False,
    "owner": None,
    "request": {"input": "Hello."},
    "previous_response_id": None,
    "background": False,
    "store": True,
    "accepted_at": 0.0,
    "trace": {},
    "replay": None,
    "classic": None,
    "parent": None,
    "compaction": False,
}
"""A record as the release before wrote it."""
PART = ClassicPart(
    agent_id="a",
    turn_id="resp_0",
    input_messages=[{"role": "user", "content": "2+2"}],
    tool_calls=[{"call_id": "c"}],
    tool_responses=[{"call_id": "c", "content": "4"}],
    asked_at=12.5,
)


def written(**fields):
    accepted = AcceptedTurn(turn=Turn(**TURN), framework="langgraph", **fields)
    return accepted, json.loads(accepted.model_dump_json())


def test_a_record_of_the_release_before_is_read() -> None:
    read = AcceptedTurn.model_validate(OLD)
    assert (read.version, read.tenant, read.pool, read.revision) == (1, "default", "langgraph", "")
    assert (read.origin, read.keep_history) == (RESPONSES, False)


def test_a_part_of_a_classic_turn_of_the_release_before_is_read() -> None:
    read = AcceptedTurn.model_validate({**OLD, "classic": PART.model_dump()})
    assert ClassicPart.of(read) == PART
    assert read.origin == PART.origin()
    going_on = read.model_copy(update={"origin": read.origin.going_on()})
    assert ClassicPart.of(going_on) == ClassicPart(
        **PART.model_dump(include={"agent_id", "turn_id", "input_messages"})
    )


def test_a_compaction_of_the_release_before_is_read() -> None:
    read = AcceptedTurn.model_validate({**OLD, "compaction": True})
    assert is_compaction(read)
    assert (read.origin, read.keep_history) == (COMPACTION, True)


def test_the_release_before_finds_what_it_reads_of_a_record() -> None:
    _, plain = written(origin=RESPONSES)
    assert OLD.keys() <= plain.keys()
    assert (plain["accepted_at"], plain["classic"], plain["compaction"]) == (0.0, None, False)
    assert written(origin=PART.origin())[1]["classic"] == PART.model_dump()
    assert written(origin=COMPACTION, keep_history=True)[1]["compaction"] is True


def test_a_record_is_read_as_it_was_written_and_later_fields_are_left_out() -> None:
    accepted, kept = written(origin=PART.origin(), pool="gpu", tenant="acme", revision="1f", keep_history=True)
    assert AcceptedTurn.model_validate({**kept, "version": 9, "weight": 3}) == accepted.model_copy(
        update={"version": 9}
    )


def test_readers_skip_events_of_unknown_types_and_unknown_fields() -> None:
    unknown = parse_event('{"type": "memory.read", "store": "m"}')
    assert unknown == UnknownEvent(type="memory.read")
    step = parse_event('{"type": "step.started", "step_id": "s", "kind": "tool", "cost": 3}')
    assert known([TurnAccepted(), unknown, step]) == [TurnAccepted(), StepStarted(step_id="s", kind="tool")]


def test_writers_write_the_declared_fields_alone() -> None:
    with pytest.raises(ValidationError, match="cost"):
        StepStarted(step_id="s", kind="tool", cost=3)  # type: ignore[call-arg]


def test_what_is_no_event_is_an_error() -> None:
    with pytest.raises(ValidationError):
        parse_event('{"type": "step.started"}')
    with pytest.raises(ValidationError):
        parse_event("{}")


def test_the_time_of_an_end_stands_beside_its_json() -> None:
    """The release before takes no field of an event that it does not know."""
    assert json.loads(TurnCompleted(at=3.0).model_dump_json()) == {"type": "turn.completed"}
    assert parse_event('{"type": "turn.completed"}', 3.5) == TurnCompleted(at=3.5)
    assert parse_event('{"type": "turn.completed"}') == TurnCompleted()
