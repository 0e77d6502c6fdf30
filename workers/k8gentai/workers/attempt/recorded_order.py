"""The order in which a turn's answers and results came, in which they come again.

An agent that waits for several at once may go by which comes first. When the turn is run again all of them are
there at once: each is held back until those that came before it have been given to the agent. That is no order to
wait for at any price, as the agent may not come to what it did before: where nothing of the record is asked for
or given for a while, the next one is given out of its turn.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from pydantic import BaseModel

from k8gentai.agents.text.utf8 import Text

_STALL_SECONDS = 0.5
_MOST_SECONDS = 5.0
"""How long one is held back at most."""
_APART_SECONDS = 0.03
"""What came that much later finds the agent to have gone on from what came before."""


class Place(BaseModel):
    """Where an entry of the journal stands in the order."""

    number: int
    at: float
    """When it was recorded (Unix seconds, by Redis' clock)."""
    around: Text = ""
    """The tool call inside which it came, as the journal has it; empty where it was inside none."""


class RecordedOrder:
    """What of a turn's record one attempt has given to its agent.

    Args:
        places: the entries' places, by their keys. What has none is never held back.
    """

    def __init__(self, places: Mapping[str, Place]) -> None:
        self._places = dict(places)
        self._left = dict(sorted(places.items(), key=lambda entry: entry[1].number))
        """Those that were not given, in their order."""
        self._moved = asyncio.Event()
        self._given_at = 0.0
        """When what was given last had been recorded."""

    @asynccontextmanager
    async def turn_of(self, key: str) -> AsyncIterator[None]:
        """Wait for the turn of an entry. To be left once the agent has been given it."""
        try:
            await self._wait(key)
            yield
        finally:
            self._pass(key)

    def skip_inside(self, around: str) -> None:
        """Skip what came inside a tool call that is answered from the record: nobody asks for that."""
        inside = [key for key, place in self._left.items() if place.around == around]
        for key in inside:
            self._pass(key)
            self.skip_inside(key)

    async def _wait(self, key: str) -> None:
        if key not in self._left:
            return
        self._move()
        try:
            async with asyncio.timeout(_MOST_SECONDS):
                held = False
                while self._is_early(key):
                    held = True
                    await asyncio.wait_for(self._moved.wait(), _STALL_SECONDS)
                if held and self._places[key].at - self._given_at >= _APART_SECONDS:
                    await asyncio.sleep(_APART_SECONDS)
        except TimeoutError:
            self._skip_before(key)

    def _is_early(self, key: str) -> bool:
        return next(iter(self._left), key) != key and key in self._left

    def _skip_before(self, key: str) -> None:
        place = self._places[key]
        for other in [each for each, at in self._left.items() if at.number < place.number]:
            del self._left[other]
        self._move()

    def _pass(self, key: str) -> None:
        if self._left.pop(key, None) is not None:
            self._given_at = max(self._given_at, self._places[key].at)
            self._move()

    def _move(self) -> None:
        """Have all that are held back look again."""
        self._moved.set()
        self._moved = asyncio.Event()
