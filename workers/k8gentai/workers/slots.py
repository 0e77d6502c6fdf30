"""A turn's place among those that a worker runs at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


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
            self._places.release()

    async def _take_back(self) -> None:
        self._waiting -= 1
        if self._waiting == 0:
            await self._places.acquire()
            self._held = True
