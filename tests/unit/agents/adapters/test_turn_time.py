"""A framework's prompts have the turn's time in place of the clock's."""

from datetime import UTC, datetime, timedelta, timezone

from k8gentai.agents.adapters.base.turn_time import turn_time

ASKED = datetime(2026, 5, 4, 23, 59, 59, 123000, UTC)


def test_it_is_when_the_turn_was_asked_in_the_zone_that_is_asked_for():
    clock = turn_time(lambda: ASKED)
    east = timezone(timedelta(hours=2))
    assert clock.now(UTC) == ASKED
    assert f"{clock.now(east):%Y-%m-%d %H}" == "2026-05-05 01"
    # As the clock's own, without a zone: the one of the process.
    assert clock.now().tzinfo is None
    assert clock.now().astimezone(UTC) == ASKED


def test_it_is_the_clocks_outside_of_turns():
    before = datetime.now(UTC)
    assert before <= turn_time(lambda: None).now(UTC) <= datetime.now(UTC)
