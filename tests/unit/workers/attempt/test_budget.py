"""What a turn may write (k8gentai.workers.attempt.budget)."""

import pytest

from k8gentai.agents.contract.events import Event, ItemDone, StepStarted, TextDelta, TurnEnd, TurnFailed, size_of
from k8gentai.agents.resources.agent import Limits
from k8gentai.workers.attempt.budget import Budget, OutputLimitError

LIMIT = 1_000


def text(size: int) -> TextDelta:
    return TextDelta(message_id="m1", delta="x" * size)


@pytest.fixture
def ends() -> list[TurnEnd]:
    return []


@pytest.fixture
def budget(ends: list[TurnEnd]) -> Budget:
    return Budget(Limits(output_bytes=LIMIT), ends.append)


@pytest.mark.parametrize(
    ("event", "size"),
    [
        (text(100), 100),
        (TextDelta(message_id="m1", delta="ü" * 100), 200),
        (ItemDone(item={"id": "i1", "text": "x" * 100}), 100),
    ],
)
def test_the_size_of_an_event_is_that_of_what_it_says(event: Event, size: int) -> None:
    assert size <= size_of(event) < size + 50


def test_what_is_too_much_is_not_written_and_ends_the_turn(budget: Budget, ends: list[TurnEnd]) -> None:
    assert budget.write(text(900))
    assert ends == []
    assert not budget.write(text(100))
    (end,) = ends
    assert isinstance(end, TurnFailed)
    assert (end.code, str(LIMIT) in end.message) == ("output_limit", True)
    assert not budget.write(text(1))
    assert budget.write(StepStarted(step_id="s1", kind="tool"))


def test_a_tools_result_counts_with_what_was_written_before(budget: Budget, ends: list[TurnEnd]) -> None:
    budget.write(text(500))
    budget.tool_result(300)
    assert ends == []
    with pytest.raises(OutputLimitError):
        budget.tool_result(600)
    assert [end.type for end in ends] == ["turn.failed"]
