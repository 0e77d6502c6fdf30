"""Threads that agents' code starts belong to the turn that starts them, and threads of pools to none."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing.pool import ThreadPool

import pytest

from k8gentai.workers.isolation.agent_threads import AgentThreads
from k8gentai.workers.isolation.current_attempt import RunningAttempt, current_attempt
from k8gentai.workers.isolation.thread_context import carry_context


@pytest.fixture(autouse=True)
def carried(monkeypatch):
    # What is set is put back after the test.
    monkeypatch.setattr(threading.Thread, "start", threading.Thread.start)
    monkeypatch.setattr(ThreadPoolExecutor, "submit", ThreadPoolExecutor.submit)
    for name in ("__init__", "apply_async", "_map_async", "imap", "imap_unordered"):
        monkeypatch.setattr(ThreadPool, name, getattr(ThreadPool, name))
    carry_context()


@pytest.fixture
def of_a_turn():
    attempt = RunningAttempt("resp_1")
    token = current_attempt.set(attempt)
    yield attempt
    current_attempt.reset(token)


def test_a_thread_belongs_to_the_turn_that_starts_it(of_a_turn):
    seen = []
    thread = threading.Thread(target=lambda: seen.append(current_attempt.get()))
    thread.start()
    thread.join()
    assert seen == [of_a_turn]


def own(_=None):
    return current_attempt.get()


@pytest.mark.parametrize(
    "call",
    [
        lambda function: asyncio.to_thread(function),
        lambda function: asyncio.get_running_loop().run_in_executor(None, function),
        lambda function: asyncio.wrap_future(ThreadPoolExecutor(1).submit(function)),
        lambda function: asyncio.get_running_loop().run_in_executor(None, partial(function)),
        lambda function: asyncio.get_running_loop().run_in_executor(AgentThreads(1, list), function),
        lambda function: asyncio.get_running_loop().run_in_executor(AgentThreads(1, list), partial(function)),
    ],
)
async def test_a_function_that_raises_stop_iteration_keeps_nobody_waiting(of_a_turn, call):
    def first():
        return next(item for item in ())

    with pytest.raises(RuntimeError, match=r"^first raised StopIteration$"):
        await asyncio.wait_for(call(first), 30)


POOLS = {
    "submit": lambda pool: pool.submit(own).result(),
    "map": lambda pool: next(pool.map(own, [0])),
}
THREAD_POOLS = {
    "apply": lambda pool: pool.apply(own),
    "apply_async": lambda pool: pool.apply_async(own, (0,)).get(),
    "map": lambda pool: pool.map(own, [0])[0],
    "starmap": lambda pool: pool.starmap(own, [(0,)])[0],
    "map_async": lambda pool: pool.map_async(own, range(4), 2).get()[3],
    "imap": lambda pool: next(pool.imap(own, [0])),
    "imap in chunks": lambda pool: list(pool.imap(own, range(4), 2))[3],
    "imap_unordered": lambda pool: next(pool.imap_unordered(own, [0])),
}


@pytest.mark.parametrize(
    ("made", "ask"),
    [
        *((ThreadPoolExecutor, ask) for ask in POOLS.values()),
        *((ThreadPool, ask) for ask in THREAD_POOLS.values()),
    ],
    ids=[*(f"executor {name}" for name in POOLS), *(f"pool {name}" for name in THREAD_POOLS)],
)
def test_what_is_given_to_a_pool_belongs_to_who_gives_it(made, ask):
    """A pool that the first turn makes works for later ones."""
    first = RunningAttempt("resp_1")
    token = current_attempt.set(first)
    with made(1) as pool:
        assert ask(pool) is first
        current_attempt.reset(token)
        for attempt in (RunningAttempt("resp_2"), None):
            token = current_attempt.set(attempt)
            assert ask(pool) is attempt
            current_attempt.reset(token)


def test_all_of_a_pools_threads_work_for_a_turn_at_once(of_a_turn):
    meeting = threading.Barrier(2)

    def meet(_):
        meeting.wait(30)
        return current_attempt.get()

    with ThreadPool(2) as pool:
        assert pool.map(meet, range(2), 1) == [of_a_turn] * 2


async def test_the_executor_of_a_loop_is_such_a_pool(of_a_turn):
    current_attempt.set(of_a_turn)
    assert await asyncio.get_running_loop().run_in_executor(None, current_attempt.get) is of_a_turn


async def test_a_loop_in_a_thread_of_the_first_turn_works_for_who_asks():
    first, later = RunningAttempt("resp_1"), RunningAttempt("resp_2")
    current_attempt.set(first)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def whose():
        return current_attempt.get()

    current_attempt.set(later)
    assert asyncio.run_coroutine_threadsafe(whose(), loop).result() is later
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
