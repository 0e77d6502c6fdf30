"""The event loop that agents' code runs on, in a thread of its own.

Code that blocks it holds up the other agents of the process, as it would under its framework alone. It does not
hold up what it may be waiting for itself: the model gateway, the tool boundary, the journal, the stream and the
leases, which stay on the worker's own loop.
"""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import structlog

from k8gentai.workers.isolation.agent_threads import AgentThreads
from k8gentai.workers.isolation.containment import contained_task, run_on

_UNWINDING_SECONDS = 6.0
"""The seconds that work in another loop may take to end once it is cancelled: a little more than adapters give
agents."""
_STOPPING_SECONDS = 1.0

log = structlog.get_logger(__name__)


class _SharedLoop(asyncio.SelectorEventLoop):
    """An event loop whose executor and tasks are everybody's: no agent replaces or ends what makes them.

    Args:
        executor: runs blocking calls.
    """

    def __init__(self, executor: ThreadPoolExecutor) -> None:
        super().__init__()
        super().set_default_executor(executor)
        super().set_task_factory(contained_task)

    def set_default_executor(self, executor: object) -> None:
        """Keep the executor there is."""
        log.warning("executor_kept", advice="agents share their loop: name the executor in run_in_executor")

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - asyncio's own
        """Do nothing: other agents use it."""

    def set_task_factory(self, factory: object) -> None:
        """Keep the factory there is."""
        log.warning("task_factory_kept", advice="agents share their loop")


class AgentsLoop:
    """An event loop in a thread of its own.

    Args:
        threads: run the blocking calls of agents.
    """

    def __init__(self, threads: AgentThreads) -> None:
        self.loop = _SharedLoop(threads)
        self._is_told = False
        """Whether it is to stop: where agents' code blocks the loop, that takes a second call."""
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="agents", daemon=True)

    def start(self) -> None:
        """Begin to run what is brought to the loop."""
        self._thread.start()

    @property
    def is_current(self) -> bool:
        """Whether the code at hand runs in the loop's thread, which is blocked for as long as the code waits."""
        return threading.get_ident() == self._thread.ident

    async def stop(self) -> None:
        """Cancel what still runs, and end the thread, for which agents' code has a second, be it that it ignores
        the cancelling or blocks the loop."""
        if not self._is_told:
            self._is_told = True
            asyncio.run_coroutine_threadsafe(self._end(), self.loop)
        await asyncio.to_thread(self._thread.join, 2 * _STOPPING_SECONDS)
        if not self._thread.is_alive():
            self.loop.close()

    async def _end(self) -> None:
        try:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            if others:
                await asyncio.wait(others, timeout=_STOPPING_SECONDS)
        finally:
            # Agents' code may cancel this, too.
            self._stopping = True
            self.loop.stop()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        run_on(self.loop, lambda: self._stopping)


async def in_loop[T](loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a loop, be it this one or one of another thread, with a copy of the context variables.

    Cancelling cancels the work, and waits for it to end, but not for ever: its thread may be blocked.

    Raises:
        BaseException: whatever the work raised.
    """
    here = asyncio.get_running_loop()
    if here is loop:
        return await work
    done: asyncio.Future[T] = here.create_future()
    done.add_done_callback(lambda done: done.cancelled() or done.exception())
    begun: list[asyncio.Task[T]] = []

    def settle(task: asyncio.Task[T]) -> None:
        with contextlib.suppress(RuntimeError):  # Nobody waits any more: the other loop is closed.
            here.call_soon_threadsafe(_settle, done, task)

    def begin() -> None:
        begun.append(loop.create_task(work))
        begun[0].add_done_callback(settle)

    loop.call_soon_threadsafe(begin)
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        if not done.done():
            loop.call_soon_threadsafe(lambda: begun[0].cancel())
            await asyncio.wait({done}, timeout=_UNWINDING_SECONDS)
        raise


def _settle[T](done: asyncio.Future[T], task: asyncio.Task[T]) -> None:
    if task.cancelled():
        done.cancel()
        return
    if (error := task.exception()) is not None:
        done.set_exception(error)
    else:
        done.set_result(task.result())
