"""Threads that code of turns which are over holds for good are noticed before none is left."""

import asyncio
import threading
import time

import pytest

from k8gentai.workers.isolation import agent_threads
from k8gentai.workers.isolation.agent_threads import AgentThreads
from k8gentai.workers.isolation.current_attempt import RunningAttempt, current_attempt


class Pool:
    """Four threads, and calls that hold them."""

    def __init__(self) -> None:
        self.lost: list[None] = []
        self.threads = AgentThreads(4, lambda: self.lost.append(None))
        self.goes_on = threading.Event()

    def hold(self, count: int) -> list[RunningAttempt]:
        """Have so many attempts hold a thread each. Returns them once they do."""
        attempts = []
        for number in range(count):
            begun = threading.Event()
            attempt = RunningAttempt(f"resp_{number}")
            token = current_attempt.set(attempt)
            self.threads.submit(self._block, begun)
            current_attempt.reset(token)
            assert begun.wait(30)
            attempts.append(attempt)
        return attempts

    def _block(self, begun: threading.Event) -> None:
        begun.set()
        self.goes_on.wait()


@pytest.fixture
def pool():
    made = Pool()
    yield made
    made.goes_on.set()
    made.threads.shutdown()


def test_threads_of_turns_that_go_on_are_in_use(pool):
    pool.hold(4)
    pool.threads.look()
    assert pool.lost == []


def test_calls_that_their_turn_did_not_wait_for_have_a_while_to_return(pool):
    for attempt in pool.hold(4):
        attempt.over = True
    pool.threads.look()
    pool.threads.look()
    assert pool.lost == []


def test_half_of_the_threads_lost_is_told_once(pool, monkeypatch):
    monkeypatch.setattr(agent_threads, "_LOST_SECONDS", 0)
    first, second, third = pool.hold(3)
    first.over = True
    pool.threads.look()
    assert pool.lost == []
    second.over = third.over = True
    pool.threads.look()
    pool.threads.look()
    assert len(pool.lost) == 1


async def test_a_call_that_returned_holds_no_thread(pool, monkeypatch):
    monkeypatch.setattr(agent_threads, "_LOST_SECONDS", 0)
    attempt = RunningAttempt("resp_1")
    current_attempt.set(attempt)
    loop = asyncio.get_running_loop()
    assert [await loop.run_in_executor(pool.threads, int) for _ in range(4)] == [0] * 4
    attempt.over = True
    pool.threads.look()
    assert pool.lost == []


def test_a_thread_that_makes_one_call_after_the_other_for_a_turn_is_not_lost(pool, monkeypatch):
    attempts = [RunningAttempt(f"resp_{number}") for number in range(2)]
    begun = threading.Semaphore(0)
    goes_on = [threading.Event(), threading.Event()]

    def wait(number):
        begun.release()
        goes_on[number].wait()

    threads = AgentThreads(2, lambda: pool.lost.append(None))
    token = current_attempt.get()
    for number in range(2):
        for attempt in attempts:
            current_attempt.set(attempt)
            threads.submit(wait, number)
    current_attempt.set(token)
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    for _ in attempts:
        begun.acquire()
    for attempt in attempts:
        attempt.over = True
    for event in goes_on:
        threads.look()
        now += agent_threads._LOST_SECONDS * 0.9
        threads.look()
        event.set()
        if event is goes_on[0]:
            for _ in attempts:
                begun.acquire()
    assert pool.lost == []
    threads.shutdown()
