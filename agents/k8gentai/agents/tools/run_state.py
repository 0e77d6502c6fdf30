"""The state of a run of a tool: whether it is at work, is waited for by code around it, or asks a person."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class RunState:
    """The state of one run of the tool of a call. Read from any thread.

    Args:
        keeps: what it comes to is kept. Not where no other code is around it: then the call comes to the same.
    """

    def __init__(self, *, keeps: bool = True) -> None:
        self.keeps = keeps
        self.has_begun = False
        """Whether the tool's code began."""
        self.is_known = not keeps
        """Whether it is known what the run came to."""
        self.is_given_up = False
        """Whether code around the tool stopped waiting for the run."""
        self.is_uncertain = False
        """Whether the run began in an earlier attempt, of which nothing says what it came to."""
        self.questions = 0
        """How many questions of its own, to a person, have no answer."""
        self.beside = 0
        """How many runs were begun beside it: calls of their own."""
        self.beside_before = 0
        """How many were begun beside it in an earlier attempt."""
        self._is_about_to_begin = True
        self._is_running = False
        self._is_spent = False
        self._waits: asyncio.Task[object] | None = None
        """The task that waits for the run."""
        self._cancelled_before = 0
        """How often that had been cancelled by then."""

    @property
    def is_at_work(self) -> bool:
        """Whether code around the tool waits for the run, and the run does not wait for a person itself. It is
        waited for from before its beginning until what became of it is recorded."""
        is_waited_for = self._waits is not None or (self._is_running and not self.is_given_up)
        return is_waited_for and not self.questions

    @property
    def is_being_given_up(self) -> bool:
        """Whether the task that waits for the run was cancelled, and has not come to stop waiting. A time-out of
        the tool's own, while the tool tidies up, looks the same."""
        waits = self._waits
        return waits is not None and waits.cancelling() > self._cancelled_before

    @property
    def is_unknown(self) -> bool:
        """Whether the run began and nothing says what it came to, or code around it did not wait for that. One
        that asks a person begins again."""
        return self.has_begun and (self.is_given_up or not self.is_known) and not self.questions

    @property
    def may_have_taken_effect(self) -> bool:
        """Whether the run may have done what it does, and code around the tool does not know, or does not wait."""
        return self.keeps and (self.is_uncertain or self.is_given_up or self.is_being_given_up)

    def fills_call(self, *, is_approved: bool) -> bool:
        """Return whether a run that is about to begin would be one beside this one, or behind its success: a call
        of its own, and no further try of the call.

        Args:
            is_approved: a person approved the call, so that a run of it may have done what they approved, also
                where code did not wait for its end.
        """
        if self.is_given_up or self.is_being_given_up:
            return is_approved
        return self._is_about_to_begin or self._is_running or self._is_spent

    @property
    def counts(self) -> bool:
        """Whether anything still depends on the run's state."""
        is_under_way = self._is_about_to_begin or self._is_running or self._waits is not None
        is_open = self.is_unknown or self.questions > 0
        return is_under_way or is_open or self._is_spent or self.is_given_up or self.is_uncertain

    def stop(self) -> None:
        """Cancel the task that waits for the run, if one does. From any thread."""
        if (waits := self._waits) is not None:
            waits.get_loop().call_soon_threadsafe(waits.cancel)

    def begin(self) -> None:
        """Note that the tool's code begins.

        Raises:
            asyncio.CancelledError: code around it had stopped waiting by then.
        """
        self._is_about_to_begin = False
        if self.is_given_up:
            raise asyncio.CancelledError("code around the tool does not wait for it any more")
        self.has_begun = self._is_running = True

    def end(self, *, is_spent: bool) -> None:
        """Note that the tool's code ended, or that it does not begin.

        Args:
            is_spent: the call is not to be tried again.
        """
        self._is_about_to_begin = self._is_running = False
        self._is_spent = is_spent

    @property
    def is_awaited(self) -> bool:
        """Whether a task waits for the run."""
        return self._waits is not None

    @contextmanager
    def awaiting(self) -> Iterator[None]:
        """While inside, the task at hand waits for the run. A thread may go on with that when the task does not
        wait any more."""
        task = self._waits = asyncio.current_task()
        self._cancelled_before = 0 if task is None else task.cancelling()
        try:
            yield
        except (asyncio.CancelledError, GeneratorExit):
            self.is_given_up = True
            raise
        finally:
            self._is_about_to_begin = False
            self._waits = None


runs_at_hand: ContextVar[tuple[RunState, ...]] = ContextVar("tool_runs_at_hand", default=())
"""The runs of tools that the code at hand is part of, the innermost last."""
