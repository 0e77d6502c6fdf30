"""Waits for what another process says, by the time in which its saying so would have been heard."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_LOOKS = 6
_LATE_SECONDS = 0.05


@asynccontextmanager
async def hearing(seconds: float | None) -> AsyncIterator[None]:
    """Raise TimeoutError after so many seconds in which the event loop ran. While code holds the loop up, what has
    come lies unread, and is no silence.

    Args:
        seconds: the seconds to wait; without end where it is None.
    """
    async with asyncio.timeout(None) as timeout:
        if seconds is None:
            yield
            return
        looks = _Looks(timeout, seconds / _LOOKS)
        try:
            yield
        finally:
            looks.stop()


class _Looks:
    """Looks at the clock every now and then, and lets a timeout expire after some times in which it could in time.

    Args:
        timeout: the time-out that expires.
        pause: seconds from one look to the next.
    """

    def __init__(self, timeout: asyncio.Timeout, pause: float) -> None:
        self._timeout = timeout
        self._pause = pause
        self._left = _LOOKS
        self._loop = asyncio.get_running_loop()
        self._next = self._schedule()

    def stop(self) -> None:
        self._next.cancel()

    def _schedule(self) -> asyncio.TimerHandle:
        return self._loop.call_later(self._pause, self._look)

    def _look(self) -> None:
        late = self._loop.time() - self._next.when()
        if late < max(_LATE_SECONDS, self._pause / 2):
            self._left -= 1
        if self._left:
            self._next = self._schedule()
        else:
            self._timeout.reschedule(self._loop.time())
