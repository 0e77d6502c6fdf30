"""Agents' code that wants to end the process, or all tasks of a loop, fails alone."""

import asyncio
import os
import signal
import subprocess
import sys
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from k8gentai.agents.code.exceptions import AgentExitError
from k8gentai.workers.isolation.containment import contain_files, contain_signals, contained_task, run_on
from k8gentai.workers.isolation.current_attempt import RunningAttempt, current_attempt
from k8gentai.workers.isolation.own_variables import own_variables
from k8gentai.workers.process.failures import failure


@pytest.fixture
async def _contained():
    asyncio.get_running_loop().set_task_factory(contained_task)


pytestmark = pytest.mark.usefixtures("_contained")


async def leave(error=None):
    await asyncio.sleep(0)
    if error is not None:
        raise error
    sys.exit(5)


@pytest.fixture
def signals(monkeypatch):
    """What is sent, instead of sending it."""
    sent = []
    monkeypatch.setattr(os, "kill", lambda pid, signum: sent.append((pid, signum)))
    monkeypatch.setattr(os, "killpg", lambda group, signum: sent.append((group, signum)))
    monkeypatch.setattr(signal, "raise_signal", lambda signum: sent.append(signum))
    contain_signals()
    return sent


@pytest.mark.parametrize(
    "tell",
    [
        lambda: os.kill(os.getpid(), signal.SIGTERM),
        lambda: os.kill(0, signal.SIGTERM),
        lambda: os.kill(-os.getpgrp(), signal.SIGINT),
        lambda: os.killpg(os.getpgrp(), signal.SIGTERM),
        lambda: signal.raise_signal(signal.SIGINT),
    ],
)
def test_a_turns_code_cannot_tell_its_worker_to_end(signals, tell):
    token = current_attempt.set(RunningAttempt("resp_1"))
    try:
        with pytest.raises(AgentExitError, match="was sent to the worker's own process"):
            tell()
    finally:
        current_attempt.reset(token)
    assert signals == []
    tell()
    assert len(signals) == 1


def test_a_turns_code_sends_other_signals(signals):
    token = current_attempt.set(RunningAttempt("resp_1"))
    try:
        os.kill(os.getpid(), 0)
        os.kill(os.getpid() + 1, signal.SIGTERM)
    finally:
        current_attempt.reset(token)
    assert signals == [(os.getpid(), 0), (os.getpid() + 1, signal.SIGTERM)]


def interrupt():
    raise KeyboardInterrupt


@pytest.mark.parametrize("error", [None, SystemExit(5)])
async def test_an_exit_in_a_task_is_an_ordinary_exception(error):
    with pytest.raises(AgentExitError):
        await asyncio.create_task(leave(error))


async def test_an_exit_in_a_thread_that_a_task_waits_for_is_one_too():
    async def wait():
        await asyncio.to_thread(interrupt)

    with pytest.raises(AgentExitError):
        await asyncio.create_task(wait())


async def test_an_exit_in_a_group_cancels_the_group_alone():
    async def work():
        async with asyncio.TaskGroup() as group:
            group.create_task(leave())
            group.create_task(asyncio.sleep(60))

    with pytest.raises(ExceptionGroup) as raised:
        await work()
    end = failure(raised.value, None)
    assert (end.code, end.message) == ("agent_error", "the agent raised SystemExit: 5")


async def test_a_task_that_is_cancelled_before_it_begins_leaves_no_warning(recwarn):
    task = asyncio.create_task(leave())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [warning for warning in recwarn if "never awaited" in str(warning.message)] == []


async def test_anyios_scopes_work_with_it():
    async with anyio.create_task_group() as group:
        with anyio.move_on_after(0.001) as scope:
            await anyio.sleep(60)
        assert scope.cancelled_caught
        group.start_soon(anyio.sleep, 60)
        await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()


async def test_a_turns_code_cancels_its_own_tasks_only():
    a, b = RunningAttempt("resp_a"), RunningAttempt("resp_b")

    async def of_turn(attempt, work):
        current_attempt.set(attempt)
        return asyncio.create_task(work)

    others = [
        asyncio.create_task(asyncio.sleep(0.01, "none's")),
        await asyncio.create_task(of_turn(a, asyncio.sleep(0.01, "a's"))),
    ]
    own = await asyncio.create_task(of_turn(b, asyncio.sleep(60)))

    async def cancel_all():
        current_attempt.set(b)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    await asyncio.create_task(cancel_all())
    assert await asyncio.gather(*others) == ["none's", "a's"]
    with pytest.raises(asyncio.CancelledError):
        await own
    # Whoever works for no turn may cancel all.
    task = await asyncio.create_task(of_turn(a, asyncio.sleep(60)))
    assert task.cancel()


def test_a_loop_goes_on_when_a_callback_exits_or_stops_it():
    loop = asyncio.new_event_loop()
    went_on = []

    def end():
        went_on.append(True)
        loop.stop()

    loop.call_soon(sys.exit, 3)
    loop.call_soon(loop.stop)
    loop.call_later(0.01, end)
    run_on(loop, lambda: bool(went_on))
    loop.close()
    assert went_on == [True]


async def test_a_turn_may_cancel_what_an_ended_turn_left_behind():
    """As a client that turns share does, whose first user began its reading."""
    ended, later = RunningAttempt("resp_1"), RunningAttempt("resp_2")
    current_attempt.set(ended)
    reading = asyncio.create_task(asyncio.sleep(60))
    current_attempt.set(later)
    assert not reading.cancel()
    ended.over = True
    assert reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading


@pytest.fixture
async def files(monkeypatch):
    """What is closed, instead of closing it, and the file by which this loop waits."""
    closed, log = [], os.dup(2)
    with monkeypatch.context() as patched:
        patched.setattr(os, "close", closed.append)
        patched.setattr(os, "closerange", lambda low, high: closed.append((low, high)))
        contain_files()
        loop: Any = asyncio.get_running_loop()
        yield closed, loop._selector.fileno(), log
    os.close(log)


@pytest.mark.parametrize(("at_hand", "value"), [(current_attempt, RunningAttempt("resp_1")), (own_variables, {})])
async def test_an_agents_code_cannot_close_the_workers_files(files, at_hand, value):
    """In a turn, and when it is imported."""
    closed, own, log = files
    token = at_hand.set(value)
    for close in (lambda: os.close(own), lambda: os.closerange(own - 1, own + 1), lambda: os.close(log)):
        with pytest.raises(AgentExitError, match="the worker's own"):
            close()
    os.close(1_000)
    os.closerange(own + 1, own + 1)
    at_hand.reset(token)
    os.close(own)
    assert closed == [1_000, (own + 1, own + 1), own]


FORKING = """
import asyncio, os, sys
from k8gentai.workers.isolation.containment import contained_task
from k8gentai.workers.isolation.current_attempt import RunningAttempt, current_attempt
from k8gentai.workers.isolation.thread_context import carry_context

async def fork():
    os.fork()

async def main():
    asyncio.get_running_loop().set_task_factory(contained_task)
    carry_context()
    current_attempt.set(RunningAttempt("resp_1"))
    {deed}
    print("one", flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize(
    "deed", ["await asyncio.create_task(fork())", "await asyncio.to_thread(os.fork)"], ids=["task", "thread"]
)
def test_a_child_that_code_forks_does_not_go_on_as_the_worker(deed):
    command = [sys.executable, "-W", "ignore", "-c", FORKING.format(deed=deed)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("one\n", "")


def test_a_child_that_code_makes_properly_runs_to_its_end():
    """It may have threads, as the queues of multiprocessing do."""
    deed = """
    import multiprocessing
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=queue.put, args=("x" * 100_000,))
    child.start()
    print(len(queue.get(timeout=30)), flush=True)
    child.join()"""
    command = [sys.executable, "-W", "ignore", "-c", FORKING.format(deed=deed.strip())]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("100000\none\n", "")
