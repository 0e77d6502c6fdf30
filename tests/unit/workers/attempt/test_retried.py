"""A failed turn that is tried anew asks again what may have failed it (k8gentai.workers.attempt.retried)."""

import json
from typing import Any

import pytest

from k8gentai.agents.contract.events import Event, TurnEnd, TurnFailed
from k8gentai.workers.attempt.given_up import GivenUp
from k8gentai.workers.attempt.journal_entries import Failure
from k8gentai.workers.attempt.retried import left_out, tried_anew
from k8gentai.workers.queue.attempts import Attempts, Lease


@pytest.mark.parametrize(
    ("end", "asks_again"),
    [
        (TurnFailed(code="model_overloaded", message="model m: overloaded"), True),
        (TurnFailed(code="agent_error", message="the agent raised APIError: model m: overloaded"), True),
        (TurnFailed(code="time_limit", message="the turn did not end within its limit"), False),
        (None, True),
    ],
)
def test_a_failed_turn_that_is_tried_anew_asks_a_model_again_that_failed_it(end, asks_again) -> None:
    recorded = {"failure model abc 1": recorded_failure(), "model def 1": "[]", "tool c1": '{"state": "left"}'}
    assert left_out(recorded, "resp_1", end) == (["failure model abc 1"] if asks_again else [])


def test_it_asks_no_model_again_after_whose_failure_a_tool_came_to_its_end() -> None:
    recorded = {"failure model abc 1": recorded_failure(), "failure model def 1": recorded_failure(tools_done=1)}
    recorded["tool c1"] = '{"state": "done"}'
    keys = left_out(recorded, "resp_1", TurnFailed(code="model_error", message="model m: overloaded"))
    assert keys == ["failure model def 1"]


@pytest.mark.parametrize("turn_id", ["resp_0", "resp_2"])
def test_nor_one_that_failed_before_a_person_answered_or_in_an_attempt_of_its_own(turn_id) -> None:
    recorded = {"failure model abc 1": recorded_failure(turn_id=turn_id)}
    assert left_out(recorded, "resp_1", None) == []


def test_a_cause_is_known_in_a_message_that_is_cut() -> None:
    refused = Failure(cause="no " * 2_000, status=400, code="", turn_id="resp_1").model_dump_json()
    end = TurnFailed(code="invalid_request", message=f"the file cannot be read: {'no ' * 300}")
    assert left_out({"failure effect file abc 1": refused}, "resp_1", end) == ["failure effect file abc 1"]


def recorded_failure(**noted: Any) -> str:
    fields = {"turn_id": "resp_1", **noted}
    return Failure(cause="overloaded", status=503, code="model_overloaded", **fields).model_dump_json()


@pytest.mark.parametrize("code", ["agent_error", "model_error", "time_limit"])
def test_a_failed_turn_that_is_tried_anew_waits_for_what_the_agent_gave_up_last(code) -> None:
    recorded = {
        "given_up model a 1 1": GivenUp(seconds=1, turn_id="resp_1").model_dump_json(),
        "given_up model b 1 1": GivenUp(seconds=1, turn_id="resp_1", tools_begun=1).model_dump_json(),
        "given_up model c 1 1": GivenUp(seconds=1, turn_id="resp_2", tools_begun=1).model_dump_json(),
        "tool c1": '{"state": "done"}',
    }
    assert left_out(recorded, "resp_1", TurnFailed(code=code, message="no")) == ["given_up model b 1 1"]


@pytest.mark.parametrize("state", ["running", "left", "done"])
def test_what_a_tool_call_began_after_is_past(state) -> None:
    """It may have taken effect, and another way would make it another call."""
    recorded = {
        "failure model abc 1": recorded_failure(tools_begun=0),
        "given_up model def 1 1": GivenUp(seconds=1, turn_id="resp_1").model_dump_json(),
        "tool c1": json.dumps({"state": state}),
    }
    assert left_out(recorded, "resp_1", TurnFailed(code="model_error", message="model m: overloaded")) == []


class Ended(Attempts):
    """Knows how a turn ended, and keeps what is recorded."""

    def __init__(self, end: TurnEnd, journal: dict[str, str]) -> None:
        self.end = end
        self.recorded = journal

    async def end_of(self, turn_id: str) -> Event | None:
        assert turn_id == "resp_1"
        return self.end

    async def record(self, lease: Lease, key: str, value: str, place: str = "{}") -> bool:
        assert value == ""
        del self.recorded[key]
        return True


async def test_what_is_left_out_is_so_for_all_that_goes_on_with_the_turn() -> None:
    """Later attempts, in which a tool has come to its end, and the turn that continues it after an approval."""
    recorded = {"failure model abc 1": recorded_failure(turn_id="resp_1"), "model def 1": "[]"}
    attempts = Ended(TurnFailed(code="model_overloaded", message="model m: overloaded"), dict(recorded))
    # With an entry the script takes out its place.
    recorded["order model abc 1"] = "{}"
    left = await tried_anew(attempts, Lease("resp_2", 1), "resp_1", recorded)
    assert left == attempts.recorded == {"model def 1": "[]"}


async def test_what_happened_in_its_own_attempts_stays() -> None:
    """The same call may have failed once more, and the agent gone on from there."""
    own = {"failure model abc 1": recorded_failure(turn_id="resp_2")}
    attempts = Ended(TurnFailed(code="model_overloaded", message="model m: overloaded"), dict(own))
    assert await tried_anew(attempts, Lease("resp_2", 2), "resp_1", own) == own
