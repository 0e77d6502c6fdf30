"""A turn's place among those that a worker runs at once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

_ALONE = "a turn runs alone"


class Door:
    """Whether a worker takes turns: unless somebody has a reason against it."""

    def __init__(self) -> None:
        self._reasons: set[str] = set()
        self._opened = asyncio.Event()
        self._opened.set()

    @property
    def is_open(self) -> bool:
        """Whether nobody has."""
        return not self._reasons

    def close(self, reason: str) -> None:
        """Take no turns, for a reason."""
        self._reasons.add(reason)
        self._opened.clear()

    def open(self, reason: str) -> None:
        """That reason is none any more."""
        self._reasons.discard(reason)
        if self.is_open:
            self._opened.set()

    async def opened(self) -> None:
        """Wait until it is open."""
        await self._opened.wait()


class Slot:
    """A place, taken when this is made.

    A turn that waits for another one lends its place: were it kept, turns that wait could fill all the places that
    those they wait for need.

    Args:
        places: the worker's.
    """

    def __init__(self, places: asyncio.Semaphore) -> None:
        self._places = places
        self._held = True
        self._waiting = 0

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[None]:
        """Leave the place to others for as long as this lasts. A cancelled turn does not wait to have it back."""
        self._waiting += 1
        self.free()
        try:
            yield
        except asyncio.CancelledError:
            self._waiting -= 1
            raise
        except BaseException:
            await self._take_back()
            raise
        await self._take_back()

    def free(self) -> None:
        """Give the place back, unless it is lent."""
        if self._held:
            self._held = False
            self._leave()

    async def _take_back(self) -> None:
        self._waiting -= 1
        if self._waiting == 0:
            await self._enter()
            self._held = True

    def _leave(self) -> None:
        self._places.release()

    async def _enter(self) -> None:
        await self._places.acquire()


class WholeWorker(Slot):
    """The place of a turn beside which nothing else runs.

    Args:
        places: the worker's.
        door: the worker's, closed when this is made.
        emptied: has all other turns leave.
    """

    def __init__(self, places: asyncio.Semaphore, door: Door, emptied: Callable[[], Awaitable[None]]) -> None:
        super().__init__(places)
        self._door = door
        self._emptied = emptied
        door.close(_ALONE)

    def _leave(self) -> None:
        self._door.open(_ALONE)
        super()._leave()

    async def _enter(self) -> None:
        self._door.close(_ALONE)
        await super()._enter()
        await self._emptied()
