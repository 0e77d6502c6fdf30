"""A worker whose own event loop hangs while its interpreter runs."""

import asyncio
import subprocess
import sys
import threading

import pytest

from k8gentai.workers.process.pulse import LoopHungError, Pulse


@pytest.fixture
def hung():
    """A loop in a thread of its own, its pulse, the errors that came of it, and what holds it up once called."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    errors: list[LoopHungError] = []

    async def made() -> Pulse:
        return Pulse(3, errors.append)

    yield loop, asyncio.run_coroutine_threadsafe(made(), loop).result(30), errors
    loop.call_soon_threadsafe(loop.stop)
    thread.join(30)
    loop.close()


def passed(loop: asyncio.AbstractEventLoop) -> None:
    """Wait until the loop has run what it was given."""
    asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result(30)


def test_a_loop_that_runs_is_well(hung):
    loop, pulse, errors = hung
    for _ in range(20):
        pulse.look()
        passed(loop)
    assert errors == []


def test_a_loop_that_hangs_is_named_once_with_its_place(hung):
    loop, pulse, errors = hung
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        held.set()
        release.wait(60)

    loop.call_soon_threadsafe(hold)
    assert held.wait(30)
    for _ in range(3):
        pulse.look()
    assert errors == []
    for _ in range(3):
        pulse.look()
    release.set()
    (error,) = errors
    assert "held up at " in str(error)
    assert "threading.py:" in str(error)


def test_a_loop_that_was_held_up_for_a_while_is_well(hung):
    loop, pulse, errors = hung
    for _ in range(3):
        held, release = threading.Event(), threading.Event()

        def hold(held: threading.Event = held, release: threading.Event = release) -> None:
            held.set()
            release.wait(60)

        loop.call_soon_threadsafe(hold)
        assert held.wait(30)
        pulse.look()
        pulse.look()
        pulse.look()
        release.set()
        passed(loop)
    assert errors == []


HANGING = """
import asyncio, threading
from k8gentai.workers.process.heartbeat import Beat
from k8gentai.workers.process.last_words import LastWords
from k8gentai.workers.process.pulse import Pulse

class Store:
    def renew(self, leases): return []
    def reap(self, *, buried): return []
    def beat(self, running): pass

async def main():
    words = LastWords("redis://127.0.0.1:1/0", "langgraph", "worker", lambda: "")
    words._say = lambda said: print(said, flush=True)
    pulse = Pulse(3, words.end)
    beat = Beat(Store(), Store(), running=list, on_lost=print, on_end=print, on_beat=pulse.look,
                lease_seconds=0.05)
    beat.start()
    threading.Event().wait()

asyncio.run(main())
"""


def test_a_process_whose_loop_hangs_is_ended_by_its_beat():
    ended = subprocess.run(
        [sys.executable, "-c", HANGING], capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 1, ended.stderr
    assert "LoopHungError: the worker's own event loop is held up at " in ended.stdout
