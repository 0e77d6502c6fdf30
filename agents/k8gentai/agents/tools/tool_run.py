"""One run of the tool of a call, as the adapter of a framework makes it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Self

from k8gentai.agents.code.kept_errors import read_error, write_error
from k8gentai.agents.tools.own_result import OwnResult
from k8gentai.agents.tools.run_state import RunState, runs_at_hand


class ToolRun(RunState):
    """One run of the tool of a call.

    Args:
        own: takes what it comes to.
        of: the call that it is a run of, for whoever compares that.
        keeps: as :class:`k8gentai.agents.tools.run_state.RunState` has it.
    """

    def __init__(self, own: OwnResult, of: object, *, keeps: bool = True) -> None:
        super().__init__(keeps=keeps)
        self.of = of
        self._own = own
        self._is_entered = False
        self._has_failed = False
        self._raised_again: Exception | None = None

    @contextmanager
    def at_work(self, *passing: type[Exception]) -> Iterator[Self]:
        """While inside, the tool runs; what it raises is kept. Yields the run.

        The tool may be tried again where it raises, but not where a person approved the call and code did not wait
        for the end: it may have done what they approved.

        Args:
            passing: what is no failure, but a word of the framework to itself: the tool runs again after that.

        Raises:
            asyncio.CancelledError: it is not to begin any more.
            ToolFailedError: the tool is not to run once more.
        """
        try:
            self._own.begin(self)
        except BaseException:
            self.end(is_spent=False)
            raise
        is_spent, token = False, runs_at_hand.set((*runs_at_hand.get(), self))
        try:
            yield self
            is_spent = not self._has_failed
        except passing:
            self.is_known = True
            raise
        except asyncio.CancelledError:
            is_spent = self._own.is_approved
            raise
        except Exception as error:
            self.fail(error)
            raise
        finally:
            self.end(is_spent=is_spent)
            self._own.call.changed()
            runs_at_hand.reset(token)

    @asynccontextmanager
    async def awaited(self, *passing: type[Exception]) -> AsyncIterator[Self]:
        """Do the same for a tool that is awaited, for which code around it may stop waiting. Yields the run.

        Args:
            passing: as in :meth:`at_work`.

        Raises:
            asyncio.CancelledError: it is not to begin any more.
            ToolFailedError: the tool is not to run once more.
        """
        async with self._recorded():
            with self.at_work(*passing):
                yield self

    @asynccontextmanager
    async def awaited_in_thread(self) -> AsyncIterator[None]:
        """Wait while a thread has the tool run, for which it takes this run again. The thread goes on when code
        around the tool stops waiting.

        Raises:
            ToolFailedError: the tool is not to run once more.
        """
        token = _to_thread.set(self)
        try:
            async with self._recorded():
                yield
        finally:
            _to_thread.reset(token)

    @asynccontextmanager
    async def _recorded(self) -> AsyncIterator[None]:
        if self.is_awaited:
            # A tool that is awaited makes a run that was to be a thread's.
            yield
            return
        try:
            with self.awaiting():
                # From here on the call's time goes on, also where it asks a person.
                self._own.call.changed()
                async with self._own.call.patience(self) if self.keeps else nullcontext():
                    yield
        finally:
            self._own.call.changed()

    def again(self) -> str | None:
        """Return what the run returned in an earlier attempt, as the adapter wrote it; None where there was no
        such run, so that it is to run.

        Raises:
            Exception: what it raised then.
        """
        if not self.keeps:
            return None
        before = self._own.next_failed()
        if before is None:
            self.is_known = (text := self._own.text_before) is not None
            return text
        self.is_known = self._has_failed = True
        self.is_uncertain = before.is_unknown
        self.beside_before = before.beside
        if before.was_raised:
            self._raised_again = read_error(before.text)
            raise self._raised_again
        return before.text

    def keep(self, text: str | None) -> None:
        """Note that the tool returned.

        Args:
            text: what it returned; None where that cannot be written.
        """
        if self.keeps:
            self.is_known = True
            self._own.keep(self, text)

    def fail(self, error: Exception) -> None:
        """Note that the tool raised an error, unless it is the one that it had raised before. One that cannot be
        written is lost, as such a result is."""
        self._has_failed = True
        if self.keeps and error is not self._raised_again:
            self.is_known = True
            self._own.fail(self, write_error(error), was_raised=True)

    def keep_error(self, text: str | None) -> None:
        """Note that the tool returned an error.

        Args:
            text: what it returned; None where that cannot be written: it is run again then.
        """
        self._has_failed = True
        if self.keeps and text is not None:
            self.is_known = True
            self._own.fail(self, text, was_raised=False)

    def enter(self) -> bool:
        """Note that the tool's function begins. Returns whether it has not before in this run: what it runs in
        turn are calls of their own."""
        is_entered, self._is_entered = self._is_entered, True
        return not is_entered


def run_in_thread(of: object) -> ToolRun | None:
    """Return the run of a call for which the code at hand runs in a thread, if it has not begun."""
    run = _to_thread.get()
    return run if run is not None and run.of is of and not run.has_begun else None


_to_thread: ContextVar[ToolRun | None] = ContextVar("tool_run_in_thread", default=None)
"""The run that a task waits for while a thread makes it."""
