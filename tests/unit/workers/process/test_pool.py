"""The turns of one process: who is alone in it, who leaves it, and who comes back."""

import asyncio
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from k8gentai.agents.contract.events import TurnFailed
from k8gentai.agents.contract.turn import Turn
from k8gentai.workers.isolation.current_attempt import RunningAttempt
from k8gentai.workers.isolation.watchdog import Blocked
from k8gentai.workers.process import running_turns as pools
from k8gentai.workers.process.relief import HAND_OVER_SECONDS, Relief
from k8gentai.workers.process.running_turns import Pool
from k8gentai.workers.queue.attempts import DeclinedBeforeError, Lease, Started
from k8gentai.workers.queue.clock import Clock
from k8gentai.workers.queue.hand_backs import AgentMissingError, BrokeOffError, StaleCodeError
from k8gentai.workers.queue.record import AcceptedTurn

END = TurnFailed(code="model_error", message="gone")


class Attempts:
    """A queue in memory, and what is written about its turns."""

    worker = "w"

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Started] = asyncio.Queue()
        self.written: list[tuple[str, ...]] = []
        self.pauses: list[float] = []
        self.declined: set[str] = set()
        self._taken: dict[str, Started] = {}

    def put(self, name: str, *, suspect: bool = False, breaks: int = 0) -> None:
        accepted = AcceptedTurn(turn=Turn(id=name, agent="a", input=[]), framework="langgraph")
        self.queue.put_nowait(Started(Lease(name, 1), 1, accepted, Clock(0), suspect, breaks))

    async def take(self, _: float) -> str:
        started = await self.queue.get()
        self._taken[started.lease.turn_id] = started
        return started.lease.turn_id

    async def start(self, turn_id: str, _: str) -> Started:
        if turn_id in self.declined:
            raise DeclinedBeforeError(turn_id)
        return self._taken[turn_id]

    async def hand_back(self, lease: Lease) -> None:
        self.written.append(("handed back", lease.turn_id))

    async def break_off(self, lease: Lease, end: TurnFailed, *, seconds: float, often: int, pause: float) -> str:
        self.written.append(("broke off", lease.turn_id, end.code))
        self.pauses.append(pause)
        return "queued"

    async def decline(self, lease: Lease, end: TurnFailed) -> str:
        self.written.append(("declined", lease.turn_id))
        self.declined.add(lease.turn_id)
        return "queued"

    async def put_back(self, turn_id: str) -> str:
        self.written.append(("put back", turn_id))
        return "queued"


class Harness:
    """Runs turns until a test lets them end."""

    def __init__(self) -> None:
        self.running: dict[str, asyncio.Future[None]] = {}
        self.slots: dict[str, Any] = {}
        self.begun: asyncio.Queue[str] = asyncio.Queue()

    async def run(self, started: Started, slot: Any) -> None:
        name = started.lease.turn_id
        self.slots[name] = slot
        self.running[name] = asyncio.get_running_loop().create_future()
        self.begun.put_nowait(name)
        try:
            await self.running[name]
        finally:
            del self.running[name]

    def end(self, name: str, error: Exception | None = None) -> None:
        if error is None:
            self.running[name].set_result(None)
        else:
            self.running[name].set_exception(error)


@pytest.fixture
async def attempts():
    return Attempts()


@pytest.fixture
async def harness():
    return Harness()


@pytest.fixture
async def pool(attempts, harness, monkeypatch):
    monkeypatch.setattr(pools, "_DECLINED_SECONDS", 0.0)
    made: Any = Pool(attempts, harness, 4)
    taking = asyncio.create_task(made.take())
    yield made
    taking.cancel()
    await made.drain(0)


async def idle():
    """Let everything go as far as it can."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_a_suspect_waits_for_its_neighbours_and_nothing_is_taken_beside_it(pool, attempts, harness):
    attempts.put("innocent")
    assert await harness.begun.get() == "innocent"
    attempts.put("suspect", suspect=True)
    attempts.put("later")
    await idle()
    assert set(harness.running) == {"innocent"}
    # Its lease is held meanwhile.
    assert {lease.turn_id for lease in pool.leases()} == {"innocent", "suspect"}
    harness.end("innocent")
    assert await harness.begun.get() == "suspect"
    await idle()
    assert set(harness.running) == {"suspect"}
    harness.end("suspect")
    assert await harness.begun.get() == "later"
    assert attempts.written == []


async def test_neighbours_that_do_not_end_are_handed_to_others(pool, attempts, harness, monkeypatch):
    monkeypatch.setattr(pools, "_NEIGHBOURS_SECONDS", 0.0)
    attempts.put("slow")
    await harness.begun.get()
    attempts.put("suspect", suspect=True)
    assert await harness.begun.get() == "suspect"
    assert attempts.written == [("handed back", "slow")]
    assert set(harness.running) == {"suspect"}


async def test_two_suspects_are_never_together(pool, attempts, harness):
    attempts.put("one", suspect=True)
    attempts.put("two", suspect=True)
    assert await harness.begun.get() == "one"
    await idle()
    assert set(harness.running) == {"one"}
    harness.end("one")
    assert await harness.begun.get() == "two"


async def test_a_suspect_that_waits_for_another_turn_lets_that_run_and_is_alone_again(pool, attempts, harness):
    attempts.put("suspect", suspect=True)
    await harness.begun.get()
    attempts.put("child")
    async with harness.slots["suspect"].lent():
        assert await harness.begun.get() == "child"
        asyncio.get_running_loop().call_soon(harness.end, "child")
    attempts.put("later")
    await idle()
    assert set(harness.running) == {"suspect"}


async def test_an_attempt_that_broke_off_is_given_back_as_such(pool, attempts, harness):
    attempts.put("one")
    await harness.begun.get()
    harness.end("one", BrokeOffError(END))
    await idle()
    assert attempts.written == [("broke off", "one", "model_error")]
    assert pool.leases() == []


async def test_a_pause_holds_neither_place_nor_lease(pool, attempts, harness):
    """With the stack away the turns that wait for it would fill all places."""
    for breaks in range(8):
        attempts.put(f"away{breaks}", breaks=breaks)
        turn = await harness.begun.get()
        harness.end(turn, BrokeOffError(END, often=100))
    attempts.put("other")
    assert await harness.begun.get() == "other"
    assert attempts.pauses == [0.5, 1, 2, 4, 8, 16, 20, 20]
    assert {lease.turn_id for lease in pool.leases()} == {"other"}


async def test_a_fault_of_ours_is_no_crash(pool, attempts, harness):
    attempts.put("one")
    await harness.begun.get()
    harness.end("one", RuntimeError("ours"))
    await idle()
    assert attempts.written == [("broke off", "one", "worker_error")]


async def test_a_turn_whose_agent_is_missing_is_declined_and_put_back_when_taken_again(pool, attempts, harness):
    attempts.put("one")
    await harness.begun.get()
    harness.end("one", AgentMissingError(END))
    await idle()
    attempts.put("one")
    await idle()
    assert attempts.written == [("declined", "one"), ("put back", "one")]


async def test_a_turn_whose_code_has_changed_is_handed_back(pool, attempts, harness):
    attempts.put("one")
    await harness.begun.get()
    harness.end("one", StaleCodeError())
    await idle()
    assert attempts.written == [("handed back", "one")]


def blocked(attempt, seconds):
    return Blocked("agent.py:3", attempt, asyncio.get_running_loop().time() - seconds)


async def test_turns_leave_a_process_that_one_of_them_blocks(pool, attempts, harness):
    for name in ("blocking", "other"):
        attempts.put(name)
        await harness.begun.get()
    attempt, replaced = RunningAttempt("blocking"), []
    relief = Relief(pool, lambda: replaced.append(True))
    relief.take(blocked(attempt, HAND_OVER_SECONDS - 1))
    attempts.put("new")
    await idle()
    # It takes none any more: what had been waited for is given back.
    assert attempts.written == [("handed back", "new")]
    relief.take(blocked(attempt, HAND_OVER_SECONDS + 1))
    await idle()
    assert attempts.written[1:] == [("handed back", "other")]
    assert replaced == []
    # The turn has ended, by its limit, and its code goes on.
    attempt.over = True
    relief.take(blocked(attempt, HAND_OVER_SECONDS + 2))
    assert replaced == [True]


async def test_a_process_that_is_blocked_no_more_takes_turns_again(pool, attempts, harness):
    relief = Relief(pool, lambda: None)
    relief.take(blocked(None, HAND_OVER_SECONDS - 1))
    relief.take(None)
    attempts.put("new")
    assert await harness.begun.get() == "new"


@pytest.mark.parametrize("away", [True, False])
async def test_a_drain_says_whether_a_turn_could_not_be_given_back(pool, attempts, harness, monkeypatch, away):
    """Its lease runs out, as that of a worker that crashed."""

    async def hand_back(_):
        if away:
            raise RedisConnectionError

    monkeypatch.setattr(attempts, "hand_back", hand_back)
    attempts.put("one")
    await harness.begun.get()
    await pool.drain(0)
    assert pool.kept is away


async def test_neighbours_are_handed_over_though_the_suspect_is_stopped_meanwhile(
    pool, attempts, harness, monkeypatch
):
    monkeypatch.setattr(pools, "_NEIGHBOURS_SECONDS", 0.0)
    handing, written = asyncio.Event(), asyncio.Event()
    hand_back = attempts.hand_back

    async def slowly(lease):
        handing.set()
        await written.wait()
        await hand_back(lease)

    attempts.hand_back = slowly
    attempts.put("slow")
    await harness.begun.get()
    attempts.put("suspect", suspect=True)
    await handing.wait()
    pool.drop_cancelled(b"suspect")
    await idle()
    written.set()
    await idle()
    assert attempts.written == [("handed back", "slow")]
