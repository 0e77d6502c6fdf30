"""A turn's place among those that a worker runs at once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager


class Door:
    """Whether a worker takes turns: unless somebody has a reason against it."""

    def __init__(self) -> None:
        self._reasons: set[object] = set()
        self._opened = asyncio.Event()
        self._opened.set()

    @property
    def is_open(self) -> bool:
        """Whether nobody has."""
        return not self._reasons

    def close(self, reason: object) -> None:
        """Take no turns, for a reason: a word, or whoever has it."""
        self._reasons.add(reason)
        self._opened.clear()

    def open(self, reason: object) -> None:
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
    those they wait for need. Several tools of a turn may wait at once, and lend it once.

    Args:
        places: the worker's.
    """

    def __init__(self, places: asyncio.Semaphore) -> None:
        self._places = places
        self._held = True
        self._waiting = 0
        self._returning: asyncio.Task[None] | None = None
        """Takes the place back."""
        self._over = False

    async def begin(self) -> None:
        """Wait until the turn may run."""

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[None]:
        """Leave the place to others for as long as this lasts. Who is cancelled does not wait to have it back."""
        self._waiting += 1
        self._give_up()
        try:
            yield
        except asyncio.CancelledError:
            self._take_back()
            raise
        except BaseException:
            await self._have_back()
            raise
        await self._have_back()

    def free(self) -> None:
        """Give the place back for good."""
        self._over = True
        self._give_up()

    def _give_up(self) -> None:
        if self._returning is not None:
            self._returning.cancel()
            self._returning = None
        if self._held:
            self._held = False
            self._leave()

    def _take_back(self) -> None:
        self._waiting -= 1
        if self._waiting == 0 and not self._over:
            self._returning = asyncio.create_task(self._enter())

    async def _have_back(self) -> None:
        self._take_back()
        # Another tool of the turn may lend the place before it is back: then the turn goes on without.
        if (returning := self._returning) is not None:
            await asyncio.wait({returning})
            if not returning.cancelled():
                returning.result()

    def _leave(self) -> None:
        self._places.release()

    async def _enter(self) -> None:
        await self._places.acquire()
        self._held = True


class WholeWorker(Slot):
    """The place of a turn beside which nothing else runs, for a while.

    Args:
        places: the worker's.
        door: the worker's, closed when this is made.
        emptied: has all other turns leave.
        seconds: how long nothing else runs once it has begun: others wait for a worker meanwhile.
    """

    def __init__(
        self, places: asyncio.Semaphore, door: Door, emptied: Callable[[], Awaitable[None]], seconds: float
    ) -> None:
        super().__init__(places)
        self._door = door
        self._emptied = emptied
        self._seconds = seconds
        self._shared = False
        door.close(self)

    async def begin(self) -> None:
        """Wait until it is alone."""
        await self._emptied()
        asyncio.get_running_loop().call_later(self._seconds, self._share)

    def _share(self) -> None:
        self._shared = True
        self._door.open(self)

    def _leave(self) -> None:
        self._door.open(self)
        super()._leave()

    async def _enter(self) -> None:
        if self._shared:
            await super()._enter()
            return
        self._door.close(self)
        try:
            await super()._enter()
        except asyncio.CancelledError:
            self._door.open(self)
            raise
        # Others may have come in while it waited for its place.
        if not self._shared:
            await self._emptied()
