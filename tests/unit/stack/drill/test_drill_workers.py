"""Which workers a drill may strike: no turn is to be given up for it."""

from typing import Any

import pytest

from k8gentai.stack.drill.watch import Watch
from k8gentai.stack.drill.workers import Workers
from k8gentai.stack.local.children import ChildError
from k8gentai.workers.queue import keys
from k8gentai.workers.queue.attempts import MAX_ATTEMPTS


class Store:
    """Redis, as far as it counts the workers that turns ended."""

    def __init__(self, **crashes: int) -> None:
        self._crashes = {keys.TURN + turn: str(count).encode() for turn, count in crashes.items()}

    async def hget(self, key: str, field: str) -> bytes | None:
        return self._crashes.get(key) if field == "crashes" else None


def workers(store: Any, *watches: Watch) -> Workers:
    children: Any = None
    return Workers(children, [], {}, framework="langgraph", count=2, lease_seconds=5, redis=store, watches=watches)


def watch(turn: str, worker: str, *, struck: bool = False) -> Watch:
    turns: Any = None
    made = Watch(turns, turn, worker)
    if struck:
        made.strike("killed", worker)
    return made


@pytest.mark.parametrize(
    ("crashes", "struck", "may"),
    [
        (0, False, True),
        (MAX_ATTEMPTS - 2, False, True),
        (MAX_ATTEMPTS - 1, False, False),
        # What was struck may be found to have ended its worker, and that is not counted yet.
        (MAX_ATTEMPTS - 2, True, False),
        (0, True, True),
    ],
)
async def test_no_turn_loses_the_last_worker_it_may(crashes, struck, may):
    one, other = watch("one", "w1", struck=struck), watch("other", "w2")
    assert await workers(Store(one=crashes), one, other).may_be_lost() == may


async def test_turns_that_have_ended_do_not_count():
    ended = watch("one", "w1")
    ended.worker = None
    assert await workers(Store(one=MAX_ATTEMPTS - 1), ended).may_be_lost()


class Dying:
    """Children each of which ends by itself as soon as it is started."""

    async def start(self, name: str, command: Any, environment: Any) -> None:
        pass

    def pid(self, name: str) -> int:
        return int(name.rpartition("-")[2])

    def runs(self, name: str) -> bool:
        return False

    async def ended(self, name: str) -> int:
        return 7

    def log(self, name: str) -> str:
        return f"{name}.log"


async def test_workers_that_end_are_replaced_as_long_as_turns_end():
    watches = [watch(f"t{number}", "w1") for number in range(20)]
    made = workers(Store(), *watches)
    children: Any = Dying()
    made._children = children
    await made._add()
    for each in watches:
        await made.replace_dead()
        each.ended = True
    for _ in range(4):
        await made.replace_dead()
    with pytest.raises(ChildError, match="ended by itself"):
        await made.replace_dead()
