"""What the tool of a call itself came to, before code of the agent's around it made the call's result of it."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext
from contextvars import ContextVar

from pydantic import BaseModel

from k8gentai.agents.code.kept_errors import read_error, write_error
from k8gentai.agents.text.utf8 import Text


class FailedTry(BaseModel):
    """A run of a tool that failed, after which code around it may have run it once more."""

    text: Text
    """What it raised, from :func:`k8gentai.agents.code.kept_errors.write_error`; or the error that it returned, as
    the framework's adapter wrote it."""
    was_raised: bool
    beside: int = 0
    """How many runs of the tool for the same call were begun while it was at work: calls of their own."""


class OwnResult:
    """What the tool of a call came to itself.

    Code of the agent's around it may stop to ask a person. The call is made again once there is an answer, and
    what its tool had done it does not do again: it returns, or raises, what it did.

    Args:
        text: the result as the framework's adapter wrote it in an earlier attempt; None where it has none.
        on_kept: called once the tool has returned or failed.
        waited_for: returns what is open, in whatever loop, while that code waits for the tool: that it stops
            waiting is kept, and done again when the turn is run again.
        failed: the tries that failed in an earlier attempt, in their order.
        may_begin: called before the tool begins to run; raises where it is not to.
        on_idle: called, in whatever thread, when a run of the tool has ended, waits for a person, or is not waited
            for any more.
    """

    def __init__(
        self,
        text: str | None = None,
        on_kept: Callable[[], None] | None = None,
        waited_for: Callable[[], AbstractAsyncContextManager[None]] = nullcontext,
        failed: Sequence[FailedTry] = (),
        may_begin: Callable[[], None] | None = None,
        on_idle: Callable[[], None] | None = None,
    ) -> None:
        self.waited_for = waited_for
        self.failed = list(failed)
        """The tries that failed, in their order."""
        self.is_approved = False
        """Whether a person approved the call."""
        self.is_lost = False
        """Whether the tool returned, or raised, what cannot be written."""
        self._text = text
        self._on_kept = on_kept
        self._to_come = iter(failed)
        self._raised_again: Exception | None = None
        self._may_begin = may_begin
        self._on_idle = on_idle
        self._counting = threading.Lock()
        self._at_work = 0
        """How many runs of the tool are at work."""
        self._left = 0
        """How many of these code around the tool has stopped waiting for."""
        self._waiting: dict[asyncio.Task[object], int] = {}
        """The tasks that wait for a run, each with how often it had been cancelled before."""
        self._asking = 0
        """How many questions of theirs have no answer."""
        self._unknown = 0
        """How many runs began of which nothing is known."""
        self.has_begun = False
        """Whether the tool began to run in this attempt."""
        self._beside = 0
        """How many runs were begun beside the last one."""
        self._beside_before = 0
        """How many were begun beside that in an earlier attempt."""

    @property
    def text(self) -> str | None:
        """What the tool returned, as the adapter wrote it; None where it has not, or that cannot be written."""
        return self._text

    @property
    def has_ended(self) -> bool:
        """Whether the tool returned or failed, in this attempt or an earlier one."""
        return self.is_lost or self._text is not None or bool(self.failed)

    @property
    def is_at_work(self) -> bool:
        """Whether a run of the tool is at work, code around it waits for that, and it does not wait for a person
        itself. Read from any thread."""
        return self._at_work - self._left > self._asking

    @property
    def is_being_given_up(self) -> bool:
        """Whether a task that waits for a run was cancelled, and has not come to stop waiting. Read from any
        thread."""
        with self._counting:
            # A time-out of the tool's own, while it tidies up, looks the same.
            return any(task.cancelling() > before for task, before in self._waiting.items())

    @property
    def asks(self) -> bool:
        """Whether the tool itself waits for a person."""
        return self._asking > 0

    @property
    def is_unknown(self) -> bool:
        """Whether a run of the tool began in this attempt of which nothing says what it came to, and which does
        not wait for a person itself."""
        return self._unknown > self._asking

    @property
    def is_inside(self) -> bool:
        """Whether the code at hand is part of the tool."""
        return any(own is self for own in _inside.get())

    @contextmanager
    def at_work(self, *passing: type[Exception]) -> Iterator[None]:
        """While inside, the tool runs.

        Args:
            passing: what is no failure, but a word of the framework to itself: it runs again after that.

        Raises:
            asyncio.CancelledError: it is not to begin any more.
        """
        if self.is_inside:
            yield
            return
        if self._may_begin is not None:
            self._may_begin()
        self.has_begun = True
        with self._counting:
            self._at_work += 1
            self._unknown += 1
            self._beside = self._beside_before = 0
        token = _inside.set((*_inside.get(), self))
        try:
            yield
        except passing:
            self.explain()
            raise
        finally:
            _inside.reset(token)
            with self._counting:
                self._at_work -= 1
                # Which one ends is not known: at worst one is waited for that code around it left.
                self._left = max(0, self._left - 1)
            if self._on_idle is not None:
                self._on_idle()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """While inside, the task at hand waits for a run of the tool."""
        task = asyncio.current_task()
        if task is None:
            yield
            return
        with self._counting:
            # Code may wait for it within what waits for it: the outermost counts.
            is_first = task not in self._waiting
            self._waiting.setdefault(task, task.cancelling())
        try:
            yield
        finally:
            if is_first:
                with self._counting:
                    del self._waiting[task]

    def leave(self) -> None:
        """Note that code around the tool does not wait any more for a run that is at work. From any thread."""
        with self._counting:
            self._left = min(self._left + 1, self._at_work)
        if self._on_idle is not None:
            self._on_idle()

    def explain(self) -> None:
        """Note that it is known what the run that began last came to, or that it did nothing."""
        with self._counting:
            self._unknown = max(0, self._unknown - 1)

    def ask(self) -> None:
        """Note that the tool waits for a person."""
        self._asking += 1
        if self._on_idle is not None:
            self._on_idle()

    def answered(self) -> None:
        """Note that it does not any more."""
        self._asking -= 1

    def is_beside(self, *, taken: bool) -> bool:
        """Return whether a run that is about to begin is a call of its own, beside the last one. Counts it then.

        Args:
            taken: the last one is at work, or has returned. One that failed in an earlier attempt fails at once
                when it comes again: what was begun beside it is none of its further tries.
        """
        # What a person approved is not tried again where the agent does not wait for its end.
        taken = taken and (self.is_approved or not self.is_being_given_up)
        with self._counting:
            beside = taken or self._beside < self._beside_before
            self._beside += beside
        return beside

    def again(self) -> str | None:
        """Return what the tool's next run returned in an earlier attempt, as the adapter wrote it; None where
        there was no such run, so that it is to run.

        Raises:
            Exception: what that run raised.
        """
        before = next(self._to_come, None)
        if before is not None or self._text is not None:
            self.explain()
        if before is None:
            return self._text
        self._beside_before = before.beside
        if before.was_raised:
            self._raised_again = read_error(before.text)
            raise self._raised_again
        return before.text

    def keep(self, text: str | None) -> None:
        """Note that the tool returned.

        Args:
            text: what it returned; None where that cannot be written.
        """
        self._text, self.is_lost = text, text is None
        self._note()

    def fail(self, error: Exception) -> None:
        """Note that the tool raised an error, unless it is one that it had raised before. One that cannot be
        written is lost, as such a result is."""
        if error is self._raised_again:
            return
        if (text := write_error(error)) is None:
            self.is_lost = True
        else:
            self.failed.append(FailedTry(text=text, was_raised=True, beside=self._beside))
        self._note()

    def keep_error(self, text: str | None) -> None:
        """Note that the tool returned an error.

        Args:
            text: what it returned; None where that cannot be written: it is run again then.
        """
        if text is not None:
            self.failed.append(FailedTry(text=text, was_raised=False, beside=self._beside))
            self._note()

    @contextmanager
    def tried(self, *passing: type[Exception]) -> Iterator[None]:
        """While inside, the tool runs: note what it raises.

        Args:
            passing: what is no failure, but a word of the framework to itself.
        """
        try:
            yield
        except passing:
            raise
        except Exception as error:
            self.fail(error)
            raise

    def _note(self) -> None:
        self.explain()
        if self._on_kept is not None:
            self._on_kept()


current_own_result: ContextVar[OwnResult | None] = ContextVar("current_own_result", default=None)
"""Takes what the tool of the call at hand comes to. The tool boundary sets it."""

_inside: ContextVar[tuple[OwnResult, ...]] = ContextVar("inside_tools", default=())
"""What takes the results of the tools that the code at hand is part of."""
