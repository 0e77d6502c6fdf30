"""A worker ends with the exit code that says why."""

import asyncio
import threading

import pytest

from k8gentai.workers.isolation.process_exits import REPLACE
from k8gentai.workers.process.shutdown import LeasesError, Shutdown


@pytest.fixture
def timers(monkeypatch):
    """Timers that were started, as (seconds, function, arguments)."""
    started = []

    class Timer:
        daemon = False

        def __init__(self, *timer):
            self._timer = timer

        def start(self):
            assert self.daemon
            started.append(self._timer)

    monkeypatch.setattr(threading, "Timer", Timer)
    return started


async def test_one_that_lost_its_leases_ends_with_1_though_its_loop_is_held_up(timers):
    ends = []
    ending = Shutdown(30, ends.append)
    await asyncio.to_thread(ending.lose_leases)
    ((seconds, end, arguments),) = timers
    assert seconds == 40
    # Not an exit that could be an agent's.
    end(*arguments)
    assert [type(error) for error in ends] == [LeasesError]
    await ending.wanted.wait()
    assert (ending.exit_code, ending.leases_lost) == (1, True)
    ending.replace_blocked()
    assert ending.exit_code == 1


async def test_one_that_is_to_be_replaced_says_so(timers):
    grown, blocked = Shutdown(30, print), Shutdown(30, print)
    await asyncio.to_thread(grown.replace)
    await grown.wanted.wait()
    blocked.replace_blocked()
    assert blocked.wanted.is_set()
    assert (grown.exit_code, grown.grace_seconds) == (REPLACE, 30)
    # A turn that has not ended would not, beside code that blocks it.
    assert (blocked.exit_code, blocked.grace_seconds) == (REPLACE, 5)
    assert timers == []
