"""A tool call under way, and which calls the code at hand works for."""

import asyncio
import concurrent.futures
import contextlib
import math
import threading
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from typing import Any, Protocol

from k8gentai.agents.contract.events import Usage
from k8gentai.agents.contract.turn import Decision, ToolFailedError
from k8gentai.agents.resources.agent import ToolTerms
from k8gentai.agents.tools.own_result import CallAround, OwnResult
from k8gentai.agents.tools.run_state import RunState
from k8gentai.workers.attempt.call_places import CallPlace
from k8gentai.workers.attempt.inside import Inside
from k8gentai.workers.attempt.journal_entries import ToolEntry
from k8gentai.workers.queue.attempts import FencedError
from k8gentai.workers.queue.clock import Clock

INTERRUPTED = (
    "this tool was begun and did not come to its end, and its definition says that it is not run again: "
    "whether it took effect is not known"
)


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

    def patience_with(self, running: "RunningCall", run: RunState) -> AbstractAsyncContextManager[None]:
        """Return what is open while code around the tool of a call waits for a run of that."""

    async def record_begun(self, running: "RunningCall") -> None:
        """Record that a call runs."""


class RunningCall(CallAround):
    """A tool call under way.

    Args:
        call_id: the call.
        name: the tool's.
        terms: what the definition says of the tool.
        tools: whose call it is.
        place: where it is in the journal, and what that has of it.
        patience_key: the journal's key of whether the agent waits for it
            (:meth:`k8gentai.workers.attempt.journal.Journal.patience_key`).
    """

    def __init__(
        self,
        call_id: str,
        name: str,
        terms: ToolTerms,
        tools: CallsOwner,
        place: CallPlace,
        patience_key: str,
    ) -> None:
        self.call_id = call_id
        self.name = name
        self.place = place
        self.patience_key = patience_key
        self.is_never = terms.retry == "never"
        """Whether the tool is not to run once more where it may have taken effect."""
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
        self._home = asyncio.get_running_loop()
        self._home_thread = threading.current_thread()
        self._own_ended = asyncio.Event()
        self.own = OwnResult(
            kept.returned if kept else None,
            kept.failed if kept else (),
            self,
        )
        """What its tool itself came to."""
        self.is_left = False
        """Whether what is recorded of it is that it waits for a person, and its tool has come to an end."""
        self.entry: ToolEntry | None = None
        """What is recorded of it then."""
        self.is_stopped = False
        """Whether it stopped for a person, by an exception: code that it left behind begins its tool no more."""
        self.images: list[str] = list(kept.images) if kept else []
        """The images that it has shown."""
        self.usage: list[Usage] = list(kept.usage) if kept else []
        """What it used of models by itself, for the turn to count."""
        self._seconds = terms.timeout_seconds
        self.limit = asyncio.timeout(self._seconds)
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

    async def own_end(self) -> None:
        """Wait until its tool is not at work."""
        while self.own.is_at_work:
            self._own_ended.clear()
            if self.own.is_at_work:
                await self._own_ended.wait()

    def kept(self) -> None:
        self._at_return = self.inside.copy_of()

    def patience(self, run: RunState) -> AbstractAsyncContextManager[None]:
        return self.tools.patience_with(self, run)

    def may_begin(self, run: RunState) -> None:
        if self.is_stopped or self.tools.is_over:
            raise asyncio.CancelledError("the call waits for a person, and is made again")
        if self.is_never and not self.own.knows_next and self.own.may_have_taken_effect_before(run):
            raise ToolFailedError(INTERRUPTED)

    @property
    def is_to_be_noted(self) -> bool:
        """Whether it is to be recorded that it runs before its tool begins: a worker that dies then would leave a
        call behind that waits for a person, and whose tool begins again."""
        return self.is_left and self.is_never

    def begun(self) -> None:
        if self.is_to_be_noted and threading.current_thread() is not self._home_thread:
            recording = asyncio.run_coroutine_threadsafe(self.tools.record_begun(self), self._home)
            try:
                recording.result()
            except (FencedError, concurrent.futures.CancelledError) as error:
                raise asyncio.CancelledError from error
            if self.has_ended or self.tools.is_over:
                raise asyncio.CancelledError("the call came to its end before its tool began")

    def leaves(self) -> bool:
        """Return whether its tool has come to an end, and none is at work: what that came to is to be recorded.
        From then on a run of the tool that begins is recorded before it does."""
        # First: a run that begins at this moment sees it.
        is_recorded, self.is_left = self.is_left, True
        is_idle = self.own.has_ended and not self.own.is_at_work
        self.is_left = is_recorded or is_idle
        return is_idle

    def changed(self) -> None:
        if not (self.asks or self.is_stopped):
            # Nobody waits for its tool: the loop need not be woken.
            return
        with contextlib.suppress(RuntimeError):  # A thread ends after the loop.
            self._home.call_soon_threadsafe(self._own_changed)

    def _own_changed(self) -> None:
        if not self.own.is_at_work:
            self._own_ended.set()
        if self.asks:
            self._measure()

    def _measure(self) -> None:
        """Have its time stand still while it asks a person, unless its tool is at work."""
        if not self.own.is_at_work:
            self._end_at(None)
        elif self.limit.when() is None and self._seconds is not None:
            self._end_at(asyncio.get_running_loop().time() + self._seconds)

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
        self.own.ask()
        self._measure()

    def answered(self) -> None:
        """A person has answered. It gets its whole time anew, if that stood still."""
        self.asks -= 1
        self.own.answered()
        if not self.asks and self._seconds is not None and self.limit.when() is None:
            self._end_at(asyncio.get_running_loop().time() + self._seconds)

    @property
    def may_have_taken_effect(self) -> bool:
        """Whether its tool may have done what it does: not where that, or code around it before that, asks."""
        return not self.asks or self.own.may_have_taken_effect

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
