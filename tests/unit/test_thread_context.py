"""Threads that agents' code starts belong to the turn that starts them, and threads of pools to none."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from k8gentai.workers.calls import current_key
from k8gentai.workers.thread_context import carry_context


@pytest.fixture(autouse=True)
def carried(monkeypatch):
    # What is set is put back after the test.
    monkeypatch.setattr(threading.Thread, "start", threading.Thread.start)
    monkeypatch.setattr(ThreadPoolExecutor, "submit", ThreadPoolExecutor.submit)
    carry_context()


@pytest.fixture
def of_a_turn():
    token = current_key.set("turn")
    yield
    current_key.reset(token)


@pytest.mark.usefixtures("of_a_turn")
def test_a_thread_belongs_to_the_turn_that_starts_it():
    seen = []
    thread = threading.Thread(target=lambda: seen.append(current_key.get()))
    thread.start()
    thread.join()
    assert seen == ["turn"]


def test_what_is_given_to_a_pool_belongs_to_who_gives_it():
    with ThreadPoolExecutor(1) as pool:
        for key in ("first", "second", None):
            token = current_key.set(key)
            assert list(pool.map(lambda _: current_key.get(), range(2))) == [key, key]
            current_key.reset(token)


async def test_the_executor_of_a_loop_is_such_a_pool():
    token = current_key.set("turn")
    assert await asyncio.get_running_loop().run_in_executor(None, current_key.get) == "turn"
    current_key.reset(token)
