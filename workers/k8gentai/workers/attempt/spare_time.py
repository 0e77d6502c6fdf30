"""Time in which this process had nothing to do.

Whether an agent goes on from what it was given, or comes to what it did before, cannot be asked: it is code of
its own, on a loop or in threads. In a process that is busy, be it with other turns, or that gets no processor, it
may yet do so. Where that has waited for a while, it will not.
"""

import asyncio
import time

_TICK_SECONDS = 0.01
_LATE_SECONDS = 0.005
"""By so much a timer is late at most where the loop was free and the process had a processor."""
_BUSY_SHARE = 0.5
"""Of a tick, used of processors by all threads: half a Python interpreter."""


class SpareTime:
    """Counts the seconds of spare time from now on, while somebody waits for it."""

    def __init__(self) -> None:
        self.seconds = 0.0

    async def tick(self) -> None:
        """Let some time pass, and count it if it was spare."""
        began, used = time.monotonic(), time.process_time()
        await asyncio.sleep(_TICK_SECONDS)
        took, used = time.monotonic() - began, time.process_time() - used
        if took < _TICK_SECONDS + _LATE_SECONDS and used < took * _BUSY_SHARE:
            self.seconds += took
