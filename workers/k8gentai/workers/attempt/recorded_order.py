"""The order in which a turn's answers and results came, in which they come again.

An agent that waits for several at once may go by which comes first. When the turn is run again all of them are
there at once: each is held back until those that came before it have been given to the agent. The agent may not
come to what it did before: what it has not asked for in about the time that it took the first time is waited for
no longer. For that, only time counts in which the process had nothing to do.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager

from pydantic import BaseModel

from k8gentai.agents.text.utf8 import Text
from k8gentai.workers.attempt.spare_time import SpareTime

_LONGER = 1.5
_MORE_SECONDS = 0.5
_MOST_SECONDS = 5.0
"""How long one is waited for at most that the agent has not asked for, or does not read."""
_BUSY_LONGER = 4
"""How many times as long that is at most where the process is busy all the time."""
_APART_SECONDS = 0.03
"""What came that much later finds the agent to have gone on from what came before."""
_MOST_APART_SECONDS = 2.0
"""How long it is given for that at most where the process is busy all the time."""


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
        self._waiting = 0
        """How many are held back."""
        self._watching: asyncio.Task[None] | None = None
        """Sees to it, while there are such, that they are not held back for ever."""
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
        self._waiting += 1
        try:
            while self._is_early(key):
                if self._watching is None:
                    self._watching = asyncio.create_task(self._watch())
                await self._moved.wait()
        finally:
            self._waiting -= 1
        if key in self._left and (apart := self._apart(self._places[key])) > 0:
            await _let_it_go_on(self._given_at + min(apart, _MOST_APART_SECONDS))

    def _apart(self, place: Place) -> float:
        """Return by how many seconds an entry came after what was given last, where the agent waited for it when
        that came, and has to go on from there first; else 0."""
        last = self._given
        if last is None or place.since_begin - place.waited >= last.since_begin:
            return 0.0
        apart = place.since_begin - last.since_begin
        return apart if apart >= _APART_SECONDS else 0.0

    def _is_early(self, key: str) -> bool:
        return key in self._left and next(iter(self._left)) != key

    async def _watch(self) -> None:
        """While entries are held back, skip the first one where it was waited for long enough."""
        head, spare, since = "", SpareTime(), 0.0
        while self._waiting and self._left:
            first = next(iter(self._left))
            if first != head or first in self._held:
                head, spare, since = first, SpareTime(), time.monotonic()
            await spare.tick()
            patience = _MOST_SECONDS if head in self._asked else min(_MOST_SECONDS, self._took[head])
            is_over = spare.seconds >= patience or time.monotonic() - since >= patience * _BUSY_LONGER
            if is_over and head in self._left and head not in self._held:
                self._skip()
        self._watching = None

    def _skip(self) -> None:
        """Wait no longer for the first of those that are left, nor for more that nobody has asked for."""
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
        self._moved.set()
        self._moved = asyncio.Event()


async def _let_it_go_on(until: float) -> None:
    """Let the agent go on from what it was given last, which a busy process may take some time for.

    Args:
        until: when it has had as long as the first time, by the monotonic clock.
    """
    spare = SpareTime()
    while spare.seconds < _APART_SECONDS and time.monotonic() < until:
        await spare.tick()


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
