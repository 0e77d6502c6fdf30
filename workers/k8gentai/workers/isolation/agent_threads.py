"""The threads that blocking calls of agents' code run in. Nothing can end one whose call does not return."""

import sys
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import structlog

from k8gentai.workers.isolation.current_attempt import RunningAttempt, current_attempt
from k8gentai.workers.isolation.thread_context import name_of
from k8gentai.workers.isolation.watchdog import own_line

_LOST_SECONDS = 30.0
"""The seconds after its turn from which on a call counts as one that never returns: most do soon."""
_SHOWN = 3
"""The number of places that hold threads that are logged."""

log = structlog.get_logger(__name__)


@dataclass(eq=False)
class _Running:
    """A call that runs. A thread may make several for one attempt, one after the other."""

    attempt: RunningAttempt
    thread: int


class AgentThreads(ThreadPoolExecutor):
    """Runs blocking calls, and knows which of them go on though their turn is over.

    Args:
        threads: the number of threads that may run at once.
        on_lost: called once, from any thread, when such calls have held half of the threads for a while.
    """

    def __init__(self, threads: int, on_lost: Callable[[], object]) -> None:
        super().__init__(threads, thread_name_prefix="agent")
        self._threads_in_all = threads
        self._on_lost: Callable[[], object] | None = on_lost
        self._running: dict[int, _Running] = {}
        """The calls that run, by their threads."""
        self._over_since: dict[_Running, float] = {}
        """The times at which calls were first seen to run though their turn was over (monotonic, in seconds)."""

    def submit[**P, T](self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have a call run as soon as a thread is free."""
        attempt = current_attempt.get()
        if attempt is None:
            return super().submit(call, *args, **kwargs)

        def run() -> T:
            return self._run(attempt, lambda: call(*args, **kwargs))

        # Errors name what was called.
        run.__name__ = name_of(call)
        return super().submit(run)

    def look(self) -> None:
        """Look whether too many threads are lost. From any thread."""
        now = time.monotonic()
        over = [call for call in list(self._running.values()) if call.attempt.over]
        self._over_since = {call: self._over_since.get(call, now) for call in over}
        lost = [call.thread for call, since in self._over_since.items() if now - since >= _LOST_SECONDS]
        if self._on_lost is None or 2 * len(lost) < self._threads_in_all:
            return
        frames = sys._current_frames()
        lines = [own_line(traceback.extract_stack(frames[thread])) for thread in lost if thread in frames]
        places = sorted({f"{line.filename}:{line.lineno}" for line in lines})[:_SHOWN]
        log.error("process_is_replaced", lost_threads=len(lost), places=places, advice="give it a time limit")
        on_lost, self._on_lost = self._on_lost, None
        on_lost()

    def _run[T](self, attempt: RunningAttempt, call: Callable[[], T]) -> T:
        thread = threading.get_ident()
        self._running[thread] = _Running(attempt, thread)
        try:
            return call()
        finally:
            del self._running[thread]
