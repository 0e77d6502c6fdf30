"""The order in which a turn's answers and results came, in which they come again.

An agent that waits for several at once may go by which comes first. When the turn is run again all of them are
there at once: each is held back until those that came before it have been given to the agent. The agent may not
come to what it did before: what it has not asked for in about the time that it took the first time is waited for
no longer.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager

from pydantic import BaseModel

from k8gentai.agents.text.utf8 import Text

_LONGER = 1.5
_MORE_SECONDS = 0.5
_MOST_SECONDS = 5.0
"""How long one is waited for at most that the agent has not asked for, or does not read."""
_APART_SECONDS = 0.03
"""What came that much later finds the agent to have gone on from what came before."""


class Place(BaseModel):
    """Where an entry of the journal stands in the order."""

    number: int
    at: float
    """When it was recorded (Unix seconds, by Redis' clock)."""
    around: Text = ""
    """The tool call inside which it came, as the journal has it; empty where it was inside none."""
    since_begin: float = 0.0
    """How many seconds its attempt had run."""
    waited: float = 0.0
    """How many seconds before that it was asked for."""


class RecordedOrder:
    """What of a turn's record one attempt has given to its agent.

    Args:
        places: the entries' places, by their keys. What has none is never held back.
    """

    def __init__(self, places: Mapping[str, Place]) -> None:
        self._places = dict(places)
        self._left = dict(sorted(places.items(), key=lambda entry: entry[1].number))
        """Those that were not given, in their order."""
        self._took = _durations(self._left)
        self._inside: dict[str, list[str]] = defaultdict(list)
        """What came inside tool calls, by the keys of those."""
        for key, place in places.items():
            self._inside[place.around].append(key)
        self._asked: set[str] = set()
        """Those that the agent has asked for."""
        self._held: set[str] = set()
        """Those of them that the agent gives up by itself, in its time."""
        self._moved = asyncio.Event()
        self._head_since = time.monotonic()
        """Since when the first of those that are left is the first."""
        self._given: Place | None = None
        """What was given last."""
        self._given_at = 0.0
        """When it was given."""

    @asynccontextmanager
    async def turn_of(self, key: str) -> AsyncIterator[None]:
        """Wait for the turn of an entry. To be left once the agent has been given it."""
        try:
            await self._wait(key)
            yield
        finally:
            self._pass(key)

    @contextmanager
    def held(self, key: str) -> Iterator[None]:
        """While inside, have what came later wait for a call that the agent is to give up, as long as it takes."""
        self._asked.add(key)
        self._held.add(key)
        try:
            yield
        finally:
            self._held.discard(key)
            self._pass(key)

    def skip_inside(self, around: str) -> None:
        """Skip what came inside a tool call that is answered from the record: nobody asks for that."""
        for key in self._inside.pop(around, ()):
            self._pass_over(key)
            self.skip_inside(key)

    async def _wait(self, key: str) -> None:
        self._asked.add(key)
        while self._is_early(key):
            try:
                async with asyncio.timeout(self._patience()):
                    await self._moved.wait()
            except TimeoutError:
                self._skip()
        if key in self._left and self._came_apart(self._places[key]):
            await asyncio.sleep(max(0.0, self._given_at + _APART_SECONDS - time.monotonic()))

    def _came_apart(self, place: Place) -> bool:
        """Return whether the agent waited for an entry when what was given last came, and some time longer."""
        last = self._given
        if last is None or place.since_begin - last.since_begin < _APART_SECONDS:
            return False
        return place.since_begin - place.waited < last.since_begin

    def _is_early(self, key: str) -> bool:
        return key in self._left and next(iter(self._left)) != key

    def _patience(self) -> float | None:
        """Return how many seconds the first of those that are left is still waited for; None for as long as it
        takes."""
        head = next(iter(self._left))
        if head in self._held:
            return None
        most = _MOST_SECONDS if head in self._asked else min(_MOST_SECONDS, self._took[head])
        return max(0.0, self._head_since + most - time.monotonic())

    def _skip(self) -> None:
        """Wait no longer for the first of those that are left, nor for more that nobody has asked for."""
        if not self._left or (patience := self._patience()) is None or patience > 0:
            return
        del self._left[next(iter(self._left))]
        while self._left and (head := next(iter(self._left))) not in self._asked:
            del self._left[head]
        self._move()

    def _pass(self, key: str) -> None:
        if (place := self._left.pop(key, None)) is not None:
            self._given, self._given_at = place, time.monotonic()
            self._move()

    def _pass_over(self, key: str) -> None:
        if self._left.pop(key, None) is not None:
            self._move()

    def _move(self) -> None:
        """Have all that are held back look again."""
        self._head_since = time.monotonic()
        self._moved.set()
        self._moved = asyncio.Event()


def _durations(places: Mapping[str, Place]) -> dict[str, float]:
    """Return about how many seconds after the one before it each entry may be asked for at the latest."""
    durations: dict[str, float] = {}
    before = 0.0
    for key, place in places.items():
        # A later attempt began anew.
        took = place.since_begin - before if place.since_begin >= before else place.since_begin
        durations[key] = took * _LONGER + _MORE_SECONDS
        before = place.since_begin
    return durations
