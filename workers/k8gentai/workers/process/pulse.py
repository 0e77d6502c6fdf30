"""Sees whether the worker's own event loop runs: while it does not, turns stand still and their leases hold."""

import asyncio
import sys
import threading
import traceback
from collections.abc import Callable

import structlog

HUNG_SECONDS = 60.0
"""The seconds that the loop may be held up. Nothing of ours does that for so long; whatever it is, it does not
end."""

log = structlog.get_logger(__name__)


class LoopHungError(Exception):
    """The worker's own event loop does not run any more."""


class Pulse:
    """Looks at the event loop it is made in, from another thread.

    Looks are counted, and no clock is read: a process that is stopped for long has not hung.

    Args:
        looks: the number of looks in a row that may find that the loop has not run since the first of them.
        on_hung: called with the error, once, in the thread that looks.
    """

    def __init__(self, looks: int, on_hung: Callable[[LoopHungError], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._watched = threading.get_ident()
        self._looks = looks
        self._on_hung = on_hung
        self._missed = 0
        self._answered = threading.Event()
        self._answered.set()

    def look(self) -> None:
        """Look. To be called again and again, from one thread."""
        if self._answered.is_set():
            self._missed = 0
            self._answered.clear()
            self._loop.call_soon_threadsafe(self._answered.set)
            return
        self._missed += 1
        if self._missed == self._looks:
            error = LoopHungError(f"the worker's own event loop is held up at {self._place()}")
            log.critical("worker_hung", error=str(error))
            self._on_hung(error)

    def _place(self) -> str:
        frame = traceback.extract_stack(sys._current_frames().get(self._watched))[-1]
        return f"{frame.filename}:{frame.lineno}"
