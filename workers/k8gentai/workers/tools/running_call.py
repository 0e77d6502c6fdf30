"""A tool call under way, and which calls the code at hand works for."""

import asyncio
import contextlib
import math
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from functools import partial
from typing import Any, Protocol

from k8gentai.agents.contract.events import Usage
from k8gentai.agents.contract.turn import Decision
from k8gentai.agents.tools.own_result import FailedTry, OwnResult
from k8gentai.workers.attempt.call_places import CallPlace
from k8gentai.workers.attempt.inside import Inside
from k8gentai.workers.attempt.journal_entries import ToolEntry
from k8gentai.workers.queue.clock import Clock


class CallsOwner(Protocol):
    """The tools of an attempt, as their calls know them (:class:`k8gentai.workers.tools.boundary.Tools`)."""

    deadline: float
    clock: Clock

    @property
    def is_over(self) -> bool:
        """Whether the attempt has ended."""

    def tokens_left(self) -> int | None:
        """Return what the turn may still use; None where there is no limit."""

    async def ask(self, call_id: str, name: str, arguments: str, about: Sequence[str] = ()) -> Decision:
        """Ask a person; see :class:`k8gentai.workers.attempt.approvals.Approvals`."""

    def own_waited_for(self, running: "RunningCall") -> AbstractAsyncContextManager[None]:
        """Return what is open while code around the tool of a call waits for that."""


class RunningCall:
    """A tool call under way.

    Args:
        call_id: the call.
        name: the tool's.
        seconds: how long it may take; None for as long as it likes.
        tools: whose call it is.
        place: where it is in the journal, and what that has of it.
    """

    def __init__(
        self, call_id: str, name: str, seconds: float | None, tools: CallsOwner, place: CallPlace
    ) -> None:
        self.call_id = call_id
        self.name = name
        self.place = place
        self.around = key_around()
        """The key of the tool call inside which it is made; empty where it is inside none."""
        self.tools = tools
        entry = place.entry
        self.asked_agent = entry.asked_agent if entry is not None else None
        """The turn that it asked for and that waits for a person, where its tool is another agent."""
        kept = entry if entry is not None and entry.is_kept else None
        before = place.inside or (kept.inside if kept else None) or Inside()
        self.inside = before.copy_of()
        """What is done inside it."""
        self._at_return = self.inside.copy_of()
        """What was done inside it until its tool itself returned or failed."""
        waited_for = partial(tools.own_waited_for, self)
        failed = kept.failed if kept else ()
        self._home = asyncio.get_running_loop()
        self._own_ended = asyncio.Event()
        self.own = OwnResult(
            kept.returned if kept else None,
            self._note_return,
            waited_for,
            failed,
            may_begin=self._may_begin,
            on_idle=self._note_idle,
        )
        """What its tool itself came to."""
        self._at_ask: tuple[str | None, list[FailedTry]] = (None, [])
        """What its tool itself had come to when a person was asked."""
        self.is_stopped = False
        """Whether it stopped for a person, by an exception: code that it left behind begins its tool no more."""
        self.is_left = False
        """Whether code around its tool stopped waiting for that, and may run it once more."""
        self.images: list[str] = list(kept.images) if kept else []
        """The images that it has shown."""
        self.usage: list[Usage] = list(kept.usage) if kept else []
        """What it used of models by itself, for the turn to count."""
        self.limit = asyncio.timeout(seconds)
        self._seconds = seconds
        self._task = asyncio.current_task()
        self.asks = 0
        """How many questions of its have no answer."""
        self.recording = asyncio.Lock()
        """Held while it is recorded that it runs, or has ended: what is written last stands."""
        self.has_ended = False
        """Whether its tool came to its end. What that left running works on, and is known by the call."""

    def record(self, **fields: Any) -> ToolEntry:
        """Return what is to be recorded of the call.

        Args:
            fields: those of :class:`k8gentai.workers.attempt.journal_entries.ToolEntry`.
        """
        return self.place.record(
            images=self.images,
            usage=self.usage,
            # Code around the tool begins again, and what it does inside the call comes again.
            inside=self._at_return if fields.get("returned") is not None or fields.get("failed") else self.inside,
            asked_agent=None if fields["state"] == "done" else self.asked_agent,
            **fields,
        )

    def came_to(self) -> tuple[str | None, list[FailedTry]]:
        """Return what its tool itself returned, and the tries that failed: without what a tool that asks a person
        itself made of its cancellation."""
        is_its = self.asks and (self.own.asks or not self.own.has_begun)
        return self._at_ask if is_its else (self.own.text, list(self.own.failed))

    async def own_end(self) -> None:
        """Wait until its tool is not at work."""
        while self.own.is_at_work:
            self._own_ended.clear()
            if self.own.is_at_work:
                await self._own_ended.wait()

    def _note_return(self) -> None:
        self._at_return = self.inside.copy_of()

    def _may_begin(self) -> None:
        if self.is_stopped:
            raise asyncio.CancelledError("the call waits for a person, and is made again")

    def _note_idle(self) -> None:
        with contextlib.suppress(RuntimeError):  # A thread ends after the loop.
            self._home.call_soon_threadsafe(self._idle)

    def _idle(self) -> None:
        self._own_ended.set()
        if self.asks and not self.own.is_at_work:
            self._end_at(None)

    @property
    def is_being_stopped(self) -> bool:
        """Whether the agent stops waiting for it."""
        return self._task is not None and self._task.cancelling() > 0

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody stops it, so that a cancellation is none that its own code raised."""
        task = asyncio.current_task()
        return bool(self.asks) or self.tools.is_over or task is None or task.cancelling() > 0

    def ask(self) -> None:
        """It asks a person. Its time stands still as soon as its tool is not at work."""
        self.asks += 1
        if self.own.is_inside:
            self.own.ask()
        self._at_ask = (self.own.text, list(self.own.failed))
        if not self.own.is_at_work:
            self._end_at(None)

    def answered(self) -> None:
        """A person has answered. It gets its whole time anew."""
        self.asks -= 1
        if self.own.is_inside:
            self.own.answered()
        if not self.asks and self._seconds is not None:
            self._end_at(asyncio.get_running_loop().time() + self._seconds)

    def deadline(self) -> float:
        """Until when it may run, by Redis' clock."""
        own = math.inf if self._seconds is None else self.tools.clock.now() + self._seconds
        return min(own, self.tools.deadline)

    def _end_at(self, when: float | None) -> None:
        with contextlib.suppress(RuntimeError):  # It has ended, and what it left behind asks.
            self.limit.reschedule(when)


calls_around: ContextVar[tuple[RunningCall, ...]] = ContextVar("running_tool_calls", default=())
"""The tool calls that the code at hand works for: several, where a tool is an agent."""


def running_call() -> RunningCall:
    """Return the call that the code at hand answers. To be called by tools only."""
    return calls_around.get()[-1]


def is_in_tool() -> bool:
    """Return whether the code at hand works for a tool call."""
    return bool(calls_around.get())


def open_around() -> tuple[RunningCall, ...]:
    """Return the tool calls that the code at hand works for and that have not ended."""
    return tuple(running for running in calls_around.get() if not running.has_ended)


def left_around() -> tuple[RunningCall, ...]:
    """Return the tool calls that have ended, or stopped for a person, though the code at hand is part of their
    tools."""
    return tuple(running for running in calls_around.get() if running.has_ended and running.own.is_inside)


def scope() -> str:
    """Return by what tool call the model calls of the code at hand are known; empty where they are by none."""
    around = calls_around.get()
    return around[-1].place.key if around and around[-1].place.is_scoped else ""


def key_around() -> str:
    """Return the key of the tool call that the code at hand works for; empty where it works for none."""
    around = calls_around.get()
    return around[-1].place.key if around else ""
