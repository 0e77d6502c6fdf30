"""Writes one attempt's events to its turn's stream, in order, as fast as Redis takes them."""

import asyncio
import time
from functools import partial

from k8gentai.agents.events import Event, StepCompleted, StepStarted, TurnEnd
from k8gentai.workers.attempts import Attempts, Lease
from k8gentai.workers.connection import until_back

_BUFFERED = 1_000
"""Events that may wait for Redis before the agent is held up."""


class EventStream:
    """The events of one attempt on their way to Redis.

    Events are sent in batches: what came up while the last batch was under way makes the next one, which adds
    no delay. While Redis is away they wait, and are sent when it is back.

    Args:
        attempts: does the writing.
        lease: the attempt.
        last_seq: the ``seq`` of the last event before this attempt.
    """

    def __init__(self, attempts: Attempts, lease: Lease, last_seq: int) -> None:
        self._attempts = attempts
        self._lease = lease
        self._next_seq = last_seq + 1
        self._waiting: list[Event] = []
        self._more = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._ended = False

    def put(self, event: Event) -> None:
        """Add an event, with the time where it begins or ends a step. What comes after the turn's last event is
        dropped."""
        if self._ended:
            return
        if isinstance(event, StepStarted | StepCompleted):
            event = event.model_copy(update={"at": time.time()})
        self._ended = isinstance(event, TurnEnd)
        self._waiting.append(event)
        self._more.set()
        if len(self._waiting) >= _BUFFERED:
            self._room.clear()

    @property
    def full(self) -> bool:
        """Whether more events have to wait. Read from any thread."""
        return not self._room.is_set()

    async def room(self) -> None:
        """Wait until Redis has taken enough for more events to be added."""
        await self._room.wait()

    async def write(self) -> None:
        """Send events until the turn's last is written.

        Raises:
            FencedError: the attempt may write no more.
        """
        ended = False
        while not ended:
            await self._more.wait()
            self._more.clear()
            batch, self._waiting = self._waiting, []
            append = partial(self._attempts.append, self._lease, self._next_seq, batch)
            await until_back(append, turn=self._lease.turn_id)
            self._next_seq += len(batch)
            self._room.set()
            ended = isinstance(batch[-1], TurnEnd)
