"""What the tool of a call itself came to, before code of the agent's around it made the call's result of it."""

import threading
from collections import deque
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass

from pydantic import BaseModel

from k8gentai.agents.text.utf8 import Text
from k8gentai.agents.tools.run_state import RunState, runs_at_hand


class FailedTry(BaseModel):
    """A run of a tool that failed, after which code around it may have run it once more."""

    text: Text
    """What it raised, from :func:`k8gentai.agents.code.kept_errors.write_error`; or the error that it returned, as
    the framework's adapter wrote it."""
    was_raised: bool
    beside: int = 0
    """How many runs of the tool for the same call were begun while it was at work: calls of their own."""
    is_unknown: bool = False
    """Whether it began, and nothing says what it came to: the error tells that."""


@dataclass(frozen=True)
class _Outcome:
    """What one run came to.

    Neither a text nor a failure stands for what cannot be written.
    """

    by: RunState | None
    """The run; None where that was in an earlier attempt."""
    text: str | None = None
    failed: FailedTry | None = None

    @property
    def holds(self) -> bool:
        """Whether code around the tool saw that, or is to. Not what a run made of the end of the attempt, while it
        asked a person; nor what a thread came to when nobody waited for it any more."""
        return self.by is None or not (self.by.questions or self.by.is_given_up)


class CallAround:
    """The call whose tool runs, as the runs know it. As it is: one of which nothing is recorded."""

    def may_begin(self, run: RunState) -> None:
        """Say whether a run may begin.

        Raises:
            asyncio.CancelledError: it is not to begin any more.
            ToolFailedError: the tool is not to run once more.
        """

    def begun(self) -> None:
        """Take note that a run has begun; returns once that is recorded, where it must be."""

    def kept(self) -> None:
        """Take note that a run returned or failed."""

    def changed(self) -> None:
        """Take note, in whatever thread, that a run waits for a person or does not any more, is not waited for any
        more, has begun, or has ended."""

    def patience(self, run: RunState) -> AbstractAsyncContextManager[None]:
        """Return an asynchronous context, to be open in whatever loop while code around the tool waits for a run.
        That the code stops waiting is kept, and done again when the turn is run again."""
        return nullcontext()


class OwnResult:
    """What the tool of a call came to itself, in all the runs that code around it made of it.

    That code may stop to ask a person. The call is made again once there is an answer, and what its tool had done
    it does not do again: it returns, or raises, what it did.

    Args:
        text: the result as the framework's adapter wrote it in an earlier attempt; None where it has none.
        failed: the tries that failed in an earlier attempt, in their order.
        call: the call.
    """

    def __init__(
        self,
        text: str | None = None,
        failed: Sequence[FailedTry] = (),
        call: CallAround | None = None,
    ) -> None:
        self.call = call or CallAround()
        self.is_approved = False
        """Whether a person approved the call."""
        self._outcomes = [_Outcome(None, failed=each) for each in failed]
        if text is not None:
            self._outcomes.append(_Outcome(None, text))
        self.text_before = text
        """What the tool returned in an earlier attempt; None where it had not."""
        self._to_come = deque(failed)
        self._runs: list[RunState] = []
        self._taking = threading.Lock()

    @property
    def text(self) -> str | None:
        """What the tool returned, as the adapter wrote it; None where it has not, or that cannot be written."""
        return next((each.text for each in reversed(self._holding()) if each.text is not None), None)

    @property
    def failed(self) -> list[FailedTry]:
        """The tries that failed, in their order."""
        return [each.failed for each in self._holding() if each.failed is not None]

    @property
    def is_lost(self) -> bool:
        """Whether the tool returned, or raised, what cannot be written."""
        return any(each.text is None and each.failed is None for each in self._holding())

    @property
    def has_ended(self) -> bool:
        """Whether the tool returned or failed, in this attempt or an earlier one."""
        return bool(self._holding())

    @property
    def is_at_work(self) -> bool:
        """Whether a run is at work, code around it waits for that, and it does not wait for a person itself. Read
        from any thread."""
        return any(run.is_at_work for run in tuple(self._runs))

    @property
    def may_have_taken_effect(self) -> bool:
        """Whether a run began in this attempt that did not fail, and does not wait for a person itself."""
        return any(run.has_begun and not run.questions for run in tuple(self._runs) if run.counts)

    def unknown(self) -> list[RunState]:
        """Return the runs that began in this attempt of which nothing says what they came to, and that do not wait
        for a person themselves."""
        return [run for run in tuple(self._runs) if run.is_unknown]

    @property
    def is_inside(self) -> bool:
        """Whether the code at hand is part of the tool."""
        return self._at_hand() is not None

    def may_have_taken_effect_before(self, run: RunState) -> bool:
        """Return whether the tool may have done what it does, in another run than one that is about to begin, and
        code around it does not know, or does not wait."""
        return any(each.may_have_taken_effect for each in tuple(self._runs) if each is not run)

    def stop(self) -> None:
        """Cancel what waits for the runs: the tool has had its time."""
        for run in tuple(self._runs):
            run.stop()

    @property
    def knows_next(self) -> bool:
        """Whether the next run came to something in an earlier attempt, so that the tool does not run for it."""
        return bool(self._to_come) or self.text_before is not None

    def take(self, run: RunState) -> bool:
        """Take a run that is about to begin for one of the call. Returns whether it is: not where it is one beside
        another, which is a call of its own and counted as such."""
        with self._taking:
            if self._is_beside():
                return False
            self._add(run)
            return True

    def counts_beside(self) -> bool:
        """Return whether a run that is about to begin is one beside another. It is counted then."""
        with self._taking:
            return self._is_beside()

    def add(self, run: RunState) -> None:
        """Add a run that is one of the call in any case."""
        with self._taking:
            self._add(run)

    def begin(self, run: RunState) -> None:
        """Note that a run begins.

        Raises:
            asyncio.CancelledError: it is not to begin any more.
            ToolFailedError: the tool is not to run once more.
        """
        self.call.may_begin(run)
        run.begin()
        self.call.changed()
        self.call.begun()

    def next_failed(self) -> FailedTry | None:
        """Return what the next run failed with in an earlier attempt; None where it did not."""
        return self._to_come.popleft() if self._to_come else None

    def keep(self, run: RunState, text: str | None) -> None:
        """Note that a run returned.

        Args:
            run: the run.
            text: what it returned; None where that cannot be written.
        """
        self._note(_Outcome(run, text))

    def fail(self, run: RunState, text: str | None, *, was_raised: bool) -> None:
        """Note that a run failed.

        Args:
            run: the run.
            text: the error, as :class:`FailedTry` has it; None where it cannot be written.
            was_raised: whether it raised the error, and did not return it.
        """
        failed = None if text is None else FailedTry(text=text, was_raised=was_raised, beside=run.beside)
        self._note(_Outcome(run, failed=failed))

    def ask(self) -> None:
        """Note that the code at hand waits for a person, if it is part of the tool."""
        if (run := self._at_hand()) is not None:
            run.questions += 1
            self.call.changed()

    def answered(self) -> None:
        """Note that it does not any more."""
        if (run := self._at_hand()) is not None:
            run.questions -= 1
            self.call.changed()

    def _holding(self) -> list[_Outcome]:
        return [each for each in tuple(self._outcomes) if each.holds]

    def _at_hand(self) -> RunState | None:
        return next((run for run in reversed(runs_at_hand.get()) if run in self._runs), None)

    def _is_beside(self) -> bool:
        last = self._runs[-1] if self._runs else None
        # What failed in an earlier attempt fails at once when it comes again: what was begun beside it then is
        # none of its further tries.
        is_beside = any(run.fills_call(is_approved=self.is_approved) for run in self._runs) or (
            last is not None and last.beside < last.beside_before
        )
        if is_beside and last is not None:
            last.beside += 1
        return is_beside

    def _add(self, run: RunState) -> None:
        self._runs = [*(each for each in self._runs if each.counts), run]

    def _note(self, outcome: _Outcome) -> None:
        self._outcomes.append(outcome)
        self.call.kept()


current_own_result: ContextVar[OwnResult | None] = ContextVar("current_own_result", default=None)
"""Takes what the tool of the call at hand comes to. The tool boundary sets it."""
