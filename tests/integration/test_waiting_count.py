"""The steps of turns' lives in any order: the count of those that wait is exact after each of them."""

import asyncio
import contextlib
import random

import pytest

from k8gentai.agents.contract.events import TurnCompleted
from k8gentai.workers.queue.admission import ConversationBusyError, QueueFullError
from k8gentai.workers.queue.attempts import Attempts, FencedError, Lease, Leases
from k8gentai.workers.queue.record import ENDED
from k8gentai.workers.queue.turns import TurnNotFoundError, Turns
from tests.support.accepting import ask, begun, finished_in, no_history
from tests.support.waiting import check_waiting, counted

LEASE_SECONDS = 0.01


@pytest.fixture
def blocking(valkey):
    with valkey.client() as client:
        yield client


async def settle(turns):
    """Settle the next turn that has ended, if one has."""
    ended = finished_in(turns)
    finished = ended.ids()
    turn_id = None
    try:
        async with asyncio.timeout(0.05):
            turn_id = await anext(finished)
    except TimeoutError:
        return
    finally:
        await finished.aclose()
    await ended.settled(turn_id, no_history)


class Life:
    """Turns and a worker, which do what they are told in any order."""

    def __init__(self, connection, blocking, seed):
        self.random = random.Random(seed)
        self.turns = Turns(connection, queue_limit=6)
        self.attempts = Attempts(connection, "langgraph", "worker", lease_seconds=LEASE_SECONDS)
        self.leases = Leases(blocking, "langgraph", lease_seconds=LEASE_SECONDS)
        self.accepted: list[str] = []
        self.held: list[tuple[Lease, int]] = []

    async def accept(self):
        agent, conversation = self.random.choice("ab"), self.random.choice([None, "one", "two"])
        strategy = self.random.choice(["enqueue", "enqueue", "reject", "interrupt", "rollback"])
        limit = self.random.choice([None, 3])
        with contextlib.suppress(ConversationBusyError, QueueFullError):
            turn_id = await ask(self.turns, agent, conversation, strategy=strategy, agent_limit=limit)
            self.accepted.append(turn_id)

    async def take(self):
        await self.attempts.take(0.001)

    async def start(self):
        taken = await self.attempts.take(0.001)
        started = await self.attempts.start(taken) if taken else None
        if started:
            self.held.append((started.lease, started.last_seq))

    async def hand_back(self):
        if self.held:
            await self.attempts.hand_back(self.held.pop()[0])

    async def end(self):
        if self.held:
            lease, seq = self.held.pop(0)
            with contextlib.suppress(FencedError):
                await self.attempts.append(lease, seq + 1, [TurnCompleted()])

    async def die(self):
        self.held.clear()
        await asyncio.sleep(LEASE_SECONDS)
        await asyncio.to_thread(self.leases.reap)

    async def cancel(self):
        await self._to_any(self.turns.cancel)

    async def delete(self):
        await self._to_any(self.turns.delete)

    async def settle(self):
        await settle(self.turns)

    async def _to_any(self, action):
        if self.accepted:
            with contextlib.suppress(TurnNotFoundError):
                await action(self.random.choice(self.accepted))

    async def step(self):
        often = [self.accept] * 5 + [self.start] * 3 + [self.end, self.settle] * 2
        seldom = [self.take, self.hand_back, self.die, self.cancel, self.delete]
        await self.random.choice(often + seldom)()


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_happens_the_count_is_the_number_of_queued_turns(connection, blocking, seed):
    life = Life(connection, blocking, seed)
    for _ in range(150):
        await life.step()
        check_waiting(blocking)
    assert len(life.accepted) > 10


async def test_when_all_is_over_nothing_is_counted_and_every_turn_has_ended(connection, blocking):
    life = Life(connection, blocking, 7)
    for _ in range(60):
        await life.step()
    for turn_id in life.accepted:
        with contextlib.suppress(TurnNotFoundError):
            await life.turns.cancel(turn_id)
            assert (await life.turns.get(turn_id)).status in ENDED
    assert counted(blocking) == {}


async def test_a_running_turn_does_not_count_and_one_handed_back_does(connection, blocking):
    turns = Turns(connection)
    attempts = Attempts(connection, "langgraph", "worker")
    turn_id = await ask(turns)
    started = await begun(attempts)
    assert counted(blocking) == {}
    await attempts.hand_back(started.lease)
    assert counted(blocking) == {"plain": 1, "*": 1}
    await turns.cancel(turn_id)
    assert counted(blocking) == {}
