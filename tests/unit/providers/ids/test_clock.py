"""What is dated by one machine and read by another goes by Redis' clock."""

import time

import pytest

from k8gentai.agents.contract import events as ev
from k8gentai.agents.contract.turn import Turn
from k8gentai.providers.ids import new_turn_id
from k8gentai.providers.turns.continuation import continued, questions
from k8gentai.workers.queue.clock import Clock
from k8gentai.workers.queue.record import AcceptedTurn, TurnRecord


def test_it_goes_on_from_redis_time_whatever_the_time_of_day(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(1_000.0)
    monkeypatch.setattr(time, "time", lambda: 9e9)
    assert 1_000.0 <= clock.now() < 1_600.0
    assert clock.now() <= clock.now()


@pytest.mark.parametrize(("now", "approved"), [(999.0, True), (1_001.0, False)])
def test_an_answer_is_too_late_by_redis_clock(now: float, approved: bool) -> None:
    turn = Turn(id=new_turn_id(), agent="a", input=[])
    record = TurnRecord(turn=turn, framework="f", accepted_at=0, status="suspended", expires_at=1_000.0)
    asked: list[ev.Event] = [
        ev.ToolCall(call_id="c", name="pay", arguments="{}"),
        ev.Interrupt(call_id="c", name="pay", arguments="{}"),
        ev.TurnSuspended(expires_at=1_000.0),
    ]
    (request,) = questions(record, asked)
    answer = {"type": "mcp_approval_response", "approval_request_id": request, "approve": True}
    replay = continued(record, asked, [answer], now)
    assert replay.answers["c"].approve is approved


def test_a_turn_is_written_as_versions_before_the_hash_had_its_time_read_it() -> None:
    accepted = AcceptedTurn(turn=Turn(id=new_turn_id(), agent="a", input=[]), framework="f")
    assert '"accepted_at":0.0' in accepted.model_dump_json()
