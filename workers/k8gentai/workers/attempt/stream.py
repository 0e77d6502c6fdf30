"""Writes one attempt's events to its turn's stream, in order, as fast as Redis takes them."""

import asyncio
from collections.abc import Callable
from functools import partial

from k8gentai.agents.contract.events import Event, ReasoningDelta, StepCompleted, StepStarted, TextDelta, TurnEnd
from k8gentai.workers.queue.attempts import Attempts, Started
from k8gentai.workers.queue.connection import until_back

_MANY = 1_000
"""Events that wait for Redis, from which on pieces of one text are put together."""
_PIECE_CHARACTERS = 4_096
"""The number of characters from which on further pieces are not added to a text."""


class EventStream:
    """The events of one attempt on their way to Redis.

    Events are sent in batches: what came up while the last batch was under way makes the next one, which adds
    no delay. While Redis is away they wait, and are sent when it is back: as many bytes as the turn may write, and
    not as many events as an agent can cut them into, as pieces of a text are put together where many wait.

    Args:
        attempts: does the writing.
        started: the attempt.
        on_event: is called with each event as it is added.
    """

    def __init__(
        self, attempts: Attempts, started: Started, on_event: Callable[[Event], None] = lambda _: None
    ) -> None:
        self._attempts = attempts
        self._on_event = on_event
        self._lease = started.lease
        self._clock = started.clock
        self._next_seq = started.last_seq + 1
        self._waiting: list[Event] = []
        self._more = asyncio.Event()
        self._ended = False

    def put(self, event: Event) -> None:
        """Add an event, with the time where it begins or ends a step. What comes after the turn's last event is
        dropped."""
        if self._ended:
            return
        if isinstance(event, StepStarted | StepCompleted):
            event = event.model_copy(update={"at": self._clock.now()})
        self._ended = isinstance(event, TurnEnd)
        self._on_event(event)
        if len(self._waiting) >= _MANY and (longer := _joined(self._waiting[-1], event)):
            self._waiting[-1] = longer
        else:
            self._waiting.append(event)
        self._more.set()

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
            ended = isinstance(batch[-1], TurnEnd)


def _joined(last: Event, event: Event) -> Event | None:
    """Return two pieces of one text as one; None where they are not, or have become long enough."""
    if not isinstance(last, TextDelta | ReasoningDelta) or not isinstance(event, type(last)):
        return None
    if last.message_id != event.message_id or len(last.delta) > _PIECE_CHARACTERS:
        return None
    joined: dict[str, object] = {"delta": last.delta + event.delta}
    if isinstance(last, TextDelta) and isinstance(event, TextDelta):
        joined["logprobs"] = last.logprobs + event.logprobs
    return last.model_copy(update=joined)
