"""The events of one attempt at a turn, published from any thread and kept for the one who asks."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from k8gentai.agents.code.exceptions import contained
from k8gentai.agents.contract.events import Event, ToolCall, ToolResult
from k8gentai.agents.contract.turn import TurnError


@dataclass(frozen=True)
class Ended:
    """The end of the events; the error is what the turn ends with, if with one."""

    error: BaseException | None = None


class EventQueue:
    """Events that wait for the one who asks. To be made in that one's event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._items: asyncio.Queue[Event | Ended] = asyncio.Queue()

    async def next_event(self) -> Event | None:
        """Return the next event; None at a good end.

        Raises:
            BaseException: what the run ended with.
        """
        item = await self._items.get()
        if not isinstance(item, Ended):
            return item
        if item.error is not None:
            raise item.error
        return None

    def put(self, item: Event | Ended) -> None:
        """Keep an event or the end, from any thread, behind those that are on their way."""
        self._loop.call_soon_threadsafe(self._items.put_nowait, item)

    def put_at_once(self, item: Event | Ended) -> None:
        """Keep an event or the end, in the thread of the loop."""
        self._items.put_nowait(item)


class KeptEvents:
    """An agent that runs in a task of this event loop, and its events. To be made in that loop.

    Args:
        publish: takes each event at once, where the harness does; else the one who asks for the next gets it.
    """

    def __init__(self, publish: Callable[[Event], None] | None = None) -> None:
        self._publish_at_once = publish
        self._over = False
        self.loop = asyncio.get_running_loop()
        self.thread = threading.get_ident()
        self._events = EventQueue()
        self._unanswered: dict[str, None] = {}
        """Calls of the worker's tools that have no result yet, in their order."""

    async def next_event(self) -> Event | None:
        """Return the next event; None at a good end.

        Raises:
            Exception: what the run ended with.
        """
        return await self._events.next_event()

    def publish(self, event: Event) -> None:
        """Keep an event, from any thread. After the turn's end there are none."""
        if self._over:
            return
        if isinstance(event, ToolCall) and event.side == "worker":
            self._unanswered[event.call_id] = None
        elif isinstance(event, ToolResult):
            self.answered(event.call_id)
        self._put(event)

    def halt(self, error: Exception | None) -> None:
        """End the turn here, with an error or well, whatever the agent would do next."""
        self._put_end(error)

    def failed(self, error: BaseException) -> None:
        """End the turn with what agents' code raised."""
        # Passed on as it is, a cancellation would look as if we were cancelled ourselves.
        is_cancelled = isinstance(error, asyncio.CancelledError)
        self._put_end(TurnError("the agent's own code cancelled it") if is_cancelled else contained(error))

    def waits_for(self, call_id: str) -> bool:
        """Return whether a tool call has no result yet."""
        return call_id in self._unanswered

    def unanswered(self) -> list[str]:
        """Return the ids of the calls that have no result yet, in their order."""
        return list(self._unanswered)

    def answered(self, call_id: str) -> None:
        """Note that the tool boundary published a result."""
        self._unanswered.pop(call_id, None)

    def ended(self, task: asyncio.Task[Any]) -> None:
        """Note that the agent's task is done."""
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is None:
            self._put_end(None)
        else:
            self.failed(error)

    def close_failed(self) -> None:
        """Close the messages of model calls that broke off, as the agent went on without them."""
        raise NotImplementedError

    def _put_end(self, error: BaseException | None) -> None:
        if self._over:
            return
        if error is None:
            self.close_failed()
        self._over = True
        self._put(Ended(error))

    def _put(self, item: Event | Ended) -> None:
        if self._publish_at_once is not None and not isinstance(item, Ended):
            self._publish_at_once(item)
        elif threading.get_ident() == self.thread:
            self._events.put_at_once(item)
        else:
            self._events.put(item)
