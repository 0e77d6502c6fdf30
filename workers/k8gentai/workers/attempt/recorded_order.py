"""The order in which a turn's answers and results came, in which they come again.

An agent that waits for several at once may go by which comes first. When the turn is run again all of them are
there at once: each is held back until those that came before it have been given to the agent. The agent may not
come to what it did before: one is held back for what nobody asks for no longer than the agent had waited for it,
by when it had asked for all that came before. For that, only time counts in which the process had nothing to do.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

from pydantic import BaseModel

from k8gentai.agents.text.utf8 import Text
from k8gentai.workers.attempt.spare_time import Pause, SpareTime

_MOST_SECONDS = 5.0
"""The most seconds that an entry is waited for which the agent has not asked for, or does not read."""
_BUSY_LONGER = 1.5
_BUSY_MORE_SECONDS = 0.5
"""The seconds that are added to that where the process is busy."""
_APART_SECONDS = 0.03
"""The seconds between two entries after which the agent counts as having gone on from the earlier one to the
later."""
_MOST_APART_SECONDS = 5.0
"""The most seconds that a busy process is given for that: a dead worker leaves many turns at once."""
_APART_LONGER = 8.0
_APART_MORE_SECONDS = 1.0
"""The seconds that are added to the time it took at first."""


class Place(BaseModel):
    """The place of a journal's entry in the order in which they came."""

    number: int
    at: float
    """The time at which it was recorded (Unix seconds, by Redis' clock)."""
    around: Text = ""
    """The tool call inside which it came, as the journal has it; empty where it was inside none."""
    attempt: int = 0
    """The attempt that recorded it; 0 in entries of older versions."""
    since_begin: float = 0.0
    """The seconds that its attempt had run."""
    waited: float = 0.0
    """The seconds between its being asked for and its being recorded."""


@dataclass
class _Patience:
    """The time for which an entry is still waited for.

    Args:
        spare: the spare time so far.
        seconds: the seconds of spare time that it may still take.
    """

    spare: SpareTime
    seconds: float

    def __post_init__(self) -> None:
        self.seconds = min(_MOST_SECONDS, self.seconds)
        self._until = self.spare.seconds + self.seconds
        self._at_most_until = time.monotonic() + self.seconds * _BUSY_LONGER + _BUSY_MORE_SECONDS

    @property
    def is_over(self) -> bool:
        return self.spare.seconds >= self._until or time.monotonic() >= self._at_most_until


class RecordedOrder:
    """The order in which a turn's record is given to the agent of one attempt, and how far that has come.

    Args:
        places: the entries' places, by their keys. What has none is never held back.
        pause: takes its time on the agents' loop.
    """

    def __init__(self, places: Mapping[str, Place], pause: Pause = asyncio.sleep) -> None:
        self._places = dict(places)
        self._left = dict(sorted(places.items(), key=lambda entry: entry[1].number))
        """The entries that were not given yet, by their keys, in their order."""
        self._inside: dict[str, list[str]] = defaultdict(list)
        """The keys of the entries that came inside tool calls, by the keys of those."""
        for key, place in places.items():
            self._inside[place.around].append(key)
        self._asked: set[str] = set()
        """The keys of the entries that the agent has asked for."""
        self._held: set[str] = set()
        """The keys of those that the agent gives up by itself, in its time."""
        self._moved = asyncio.Event()
        self._pause = pause
        self._spare = SpareTime(pause)
        self._waiting: dict[str, _Patience] = {}
        """The entries that are held back, by their keys, and the time for which one that nobody has asked for may
        hold them back."""
        self._watching: asyncio.Task[None] | None = None
        """Sees to it, while there are such, that they are not held back for ever."""
        self._given: Place | None = None
        """The place of the entry that was given last."""
        self._given_at = 0.0
        """The time at which it was given (monotonic, in seconds)."""

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

    def skip(self, key: str) -> None:
        """Skip an entry that nobody asks for, and what came inside it."""
        self._pass_over(key)
        self.skip_inside(key)

    def skip_inside(self, around: str) -> None:
        """Skip what came inside a tool call whose tool does not run: nobody asks for that."""
        for key in self._inside.pop(around, ()):
            self.skip(key)

    async def _wait(self, key: str) -> None:
        self._asked.add(key)
        if self._is_early(key):
            self._waiting[key] = _Patience(self._spare, self._places[key].waited)
            if self._watching is None:
                self._watching = asyncio.create_task(self._watch())
            try:
                while self._is_early(key):
                    await self._moved.wait()
            finally:
                self._waiting.pop(key, None)
        if key in self._left:
            await self._let_the_agent_go_on(self._places[key])

    def _is_early(self, key: str) -> bool:
        return key in self._left and next(iter(self._left)) != key

    async def _watch(self) -> None:
        """While entries are held back, skip those that hold them for too long."""
        head, unread = "", _Patience(self._spare, _MOST_SECONDS)
        while self._waiting and self._left:
            if (first := next(iter(self._left))) != head or first in self._held:
                head, unread = first, _Patience(self._spare, _MOST_SECONDS)
            await self._spare.tick()
            if head in self._left and head not in self._held:
                self._skip_overdue(head, unread)
        self._watching = None

    def _skip_overdue(self, head: str, unread: _Patience) -> None:
        """Wait no longer for the first of those that are left where it is overdue, nor for more of its kind."""
        if head in self._asked:
            if unread.is_over:
                self._pass_over(head)
            return
        if any(patience.is_over for patience in self._waiting.values()):
            while self._left and (head := next(iter(self._left))) not in self._asked:
                del self._left[head]
            self._move()

    async def _let_the_agent_go_on(self, place: Place) -> None:
        """Let the agent go on from what it was given last, where it did so before an entry came: it may take the
        one for a reason to leave the other."""
        last = self._given
        if last is None or place.at - last.at < _APART_SECONDS:
            return
        if place.attempt == last.attempt and place.since_begin - place.waited >= last.since_begin:
            # It was asked for after that.
            return
        most = min((place.at - last.at) * _APART_LONGER + _APART_MORE_SECONDS, _MOST_APART_SECONDS)
        spare, until = SpareTime(self._pause), self._given_at + most
        while spare.seconds < _APART_SECONDS and time.monotonic() < until:
            await spare.tick()

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
