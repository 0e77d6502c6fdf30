"""``k8gentai turns show``: it names where a question is to be answered, and no command that is refused."""

from typing import Any

import pytest

from k8gentai.agents.contract.turn import Turn
from k8gentai.stack.commands.turns import _asking_people, _how_to_answer
from k8gentai.workers.queue.grants import Parent
from k8gentai.workers.queue.record import Status, TurnRecord
from k8gentai.workers.queue.turns import TurnNotFoundError


def record(turn_id: str, status: Status, parent: str | None = None, answered: str | None = None) -> TurnRecord:
    """A turn, as it stands."""
    asks = Parent(turn_id=parent, depth=1, tokens=None, deadline=0) if parent else None
    turn = Turn(id=turn_id, agent="clerk", input=[])
    return TurnRecord(turn=turn, framework="langgraph", status=status, parent=asks, answered=answered)


class Kept:
    """Turns in Redis."""

    def __init__(self, *records: TurnRecord) -> None:
        self._records = {each.turn.id: each for each in records}

    async def get(self, turn_id: str) -> TurnRecord:
        """Return one."""
        if turn_id not in self._records:
            raise TurnNotFoundError(turn_id)
        return self._records[turn_id]


CHILD = record("child", "suspended", "first")


@pytest.mark.parametrize(
    ("others", "shown"),
    [
        ([record("first", "suspended")], "k8gentai turns approve first "),
        ([record("first", "running")], "first, which is running"),
        ([record("first", "failed")], "k8gentai turns retry first"),
        ([record("first", "completed")], "nothing: first has ended (completed)"),
        (
            [record("first", "suspended", answered="second"), record("second", "suspended")],
            "turns approve second ",
        ),
        ([record("first", "failed", answered="second"), record("second", "queued")], "second, which is queued"),
        # It was asked for itself, and goes on with a question of its own to which another waits.
        (
            [
                record("first", "suspended", "top", answered="second"),
                record("second", "suspended", "next"),
                record("next", "suspended"),
            ],
            "turns approve next ",
        ),
        # What its parent's parent does is no more to it.
        ([record("first", "failed", "top"), record("top", "suspended")], "k8gentai turns retry first"),
        ([], "nothing: the turn that asked for it is gone"),
    ],
)
async def test_it_names_the_turn_that_asks_people(others: list[TurnRecord], shown: str) -> None:
    turns: Any = Kept(*others)
    _, words = _how_to_answer(await _asking_people(turns, CHILD))
    assert shown in words


async def test_a_turn_that_nobody_asked_for_is_answered_itself() -> None:
    turns: Any = Kept()
    alone = record("alone", "suspended")
    assert "turns approve alone " in _how_to_answer(await _asking_people(turns, alone))[1]
