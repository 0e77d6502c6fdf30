"""The loop that agents run on ends at once where nothing runs, and soon where something will not."""

import asyncio
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from k8gentai.agents.code.exceptions import AgentExitError
from k8gentai.workers.isolation import agents_loop
from k8gentai.workers.isolation.agent_threads import AgentThreads
from k8gentai.workers.isolation.agents_loop import AgentsLoop, in_loop


@pytest.fixture
def waits(monkeypatch):
    """The limits of what the loop waits for, as each wait ends at once."""
    waited = []
    wait = asyncio.wait

    async def counted(tasks, **options):
        waited.append(options["timeout"])
        return await wait(tasks, timeout=0.01)

    monkeypatch.setattr(asyncio, "wait", counted)
    return waited


@pytest.fixture
def loop():
    made = AgentsLoop(AgentThreads(1, list))
    made.start()
    return made


async def _left(loop, work):
    """Leave a task behind in the loop."""

    async def leave():
        return asyncio.create_task(work)

    task = await in_loop(loop.loop, leave())
    await in_loop(loop.loop, asyncio.sleep(0))
    return task


async def test_nothing_is_waited_for_where_nothing_runs(loop, waits):
    await in_loop(loop.loop, asyncio.sleep(0))
    await loop.stop()
    assert waits == []
    assert loop.loop.is_closed()


async def _replace_executor():
    with ThreadPoolExecutor(1) as pool:
        asyncio.get_running_loop().set_default_executor(pool)


async def _end_executor():
    await asyncio.get_running_loop().shutdown_default_executor()


async def _replace_tasks():
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)


@pytest.mark.parametrize("work", [_replace_executor, _end_executor, _replace_tasks])
async def test_no_agent_ends_what_the_others_run_by(loop, work):
    async def run():
        with pytest.raises(AgentExitError):
            await asyncio.create_task(leave())
        return await asyncio.to_thread(str, "ran")

    async def leave():
        sys.exit(3)

    await in_loop(loop.loop, work())
    assert await in_loop(loop.loop, run()) == "ran"
    await loop.stop()


async def test_what_runs_is_cancelled(loop):
    task = await _left(loop, asyncio.sleep(3600))
    await loop.stop()
    assert task.cancelled()
    assert loop.loop.is_closed()


async def test_what_ignores_that_is_waited_for_once(loop, waits):
    ignored = []

    async def stubborn():
        while not ignored:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                ignored.append(True)
        await asyncio.sleep(0.02)

    await _left(loop, stubborn())
    await loop.stop()
    assert waits == [1.0]
    assert ignored == [True]


async def test_a_loop_that_is_blocked_is_left(loop, monkeypatch):
    monkeypatch.setattr(agents_loop, "_STOPPING_SECONDS", 0.01)
    over = threading.Event()
    loop.loop.call_soon_threadsafe(over.wait)
    await loop.stop()
    assert not loop.loop.is_closed()
    over.set()
    await loop.stop()
