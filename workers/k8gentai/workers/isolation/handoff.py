"""Brings an agent's events from its threads to the worker's own loop."""

import asyncio
import threading
from collections.abc import Callable

from k8gentai.agents.contract.events import Event

_AHEAD = 1_000
"""Events that an agent may be ahead of the worker's own loop."""


class EventHandoff:
    """Events of one attempt on their way to the loop it is made in, in their order.

    A thread that is too far ahead waits, for as long as the loop needs to take what there is, and never for Redis.

    Args:
        take: takes each event, in the loop.
    """

    def __init__(self, take: Callable[[Event], None]) -> None:
        self._take = take
        self._home = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._room = threading.Semaphore(_AHEAD)
        self._closed = False

    def publish(self, event: Event) -> None:
        """Hand an event over, from any thread. After :meth:`close` it is dropped."""
        if self._closed:
            return
        if threading.get_ident() != self._thread:
            self._room.acquire()
            self._home.call_soon_threadsafe(self._deliver_and_release, event)
        else:
            self._home.call_soon(self._deliver, event)

    def close(self) -> None:
        """Take no more events, not even those on their way."""
        self._closed = True

    def _deliver_and_release(self, event: Event) -> None:
        self._room.release()
        self._deliver(event)

    def _deliver(self, event: Event) -> None:
        if not self._closed:
            self._take(event)
