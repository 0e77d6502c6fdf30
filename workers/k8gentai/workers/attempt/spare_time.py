"""Time in which neither this process nor the agents' loop had anything to do.

Whether an agent goes on from what it was given, or comes to what it did before, cannot be asked: it is code of
its own, on a loop or in threads. In a process that is busy, be it with other turns, or that gets no processor, it
may yet do so. Where that has waited for a while, it will not.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

Pause = Callable[[float], Awaitable[None]]
"""Lets so many seconds pass."""

_TICK_SECONDS = 0.01
_LATE_SECONDS = 0.005
"""The most seconds that a timer is late where its loop was free and the process had a processor."""
_BLOCKED_SECONDS = 0.2
_BUSY_SHARE = 0.5
"""The share of a tick for which all threads together used processors: half a Python interpreter."""


class SpareTime:
    """Counts the seconds of spare time from now on, while somebody waits for it.

    Args:
        pause: takes its time on the agents' loop.
    """

    def __init__(self, pause: Pause = asyncio.sleep) -> None:
        self._pause = pause
        self.seconds = 0.0

    async def tick(self) -> None:
        """Let some time pass, and count it if it was spare."""
        began, used = time.monotonic(), time.process_time()
        pausing = asyncio.ensure_future(self._pause(_TICK_SECONDS))
        try:
            # A loop that is blocked may wait for what follows.
            await asyncio.wait({pausing}, timeout=_BLOCKED_SECONDS)
        finally:
            pausing.cancel()
        if pausing.done() and not pausing.cancelled() and pausing.exception() is not None:
            # The agents' loop is closed, and there is nobody to wait for.
            await asyncio.sleep(_BLOCKED_SECONDS)
        took, used = time.monotonic() - began, time.process_time() - used
        if took < _TICK_SECONDS + _LATE_SECONDS and used < took * _BUSY_SHARE:
            self.seconds += took


def pause_in(loop: asyncio.AbstractEventLoop) -> Pause:
    """Return what lets time pass on a loop, be it that of another thread."""

    async def pause(seconds: float) -> None:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(asyncio.sleep(seconds), loop))

    return pause
