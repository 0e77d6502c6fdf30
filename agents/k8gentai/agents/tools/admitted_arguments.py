"""Holds a tool to the call that was admitted: what runs is what the record and a person know of."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from k8gentai.agents.text.utf8 import jsonable
from k8gentai.agents.tools.own_result import OwnResult, current_own_result
from k8gentai.agents.tools.run_state import runs_at_hand
from k8gentai.agents.tools.tool_run import ToolRun, run_in_thread


class Admission:
    """One call that passed the tool boundary: its tool runs for it once, unless it fails, and with its arguments.

    Between the boundary and the tool is code of the agent's, such as middleware. What that changes, or runs once
    more, was not admitted: it is a call of its own.

    Args:
        call_id: the call.
        name: the tool's.
        arguments: without those that a framework puts in.
    """

    def __init__(self, call_id: str, name: str, arguments: dict[str, Any]) -> None:
        self.call_id = call_id
        self.name = name
        self.arguments: dict[str, Any] = jsonable(arguments)
        self._by_itself = OwnResult()

    @property
    def is_at_work(self) -> bool:
        """Whether the code at hand is part of the tool."""
        return self._at_hand() is not None

    def counts_beside(self) -> bool:
        """Return whether a run of the tool, with the call's arguments, that whoever asks does not begin itself is
        not the call's, but one beside another. It is counted then: to be asked once a run."""
        return run_in_thread(self) is None and self._own_result().counts_beside()

    def take_run(self) -> ToolRun | None:
        """Return a run of the tool that begins now, with the call's arguments; None where it is not the call's,
        but one beside another. What the tool itself runs of its own layers is kept nowhere."""
        if self.is_at_work:
            return ToolRun(OwnResult(), self)
        if (begun := run_in_thread(self)) is not None:
            return begun
        run = ToolRun(own := self._own_result(), self)
        return run if own.take(run) else None

    def new_run(self, *, keeps: bool) -> ToolRun:
        """Return a run that begins now and is the call's in any case.

        Args:
            keeps: what it comes to is kept, apart from what the call comes to: not where nothing is around it.
        """
        if (begun := run_in_thread(self)) is not None:
            return begun
        run = ToolRun(own := self._own_result(), self, keeps=keeps)
        own.add(run)
        return run

    def enter(self) -> bool:
        """Note that the tool's function begins. Returns whether it has not before in the run at hand: what it runs
        in turn are calls of their own."""
        run = self._at_hand()
        return run is not None and run.enter()

    def _own_result(self) -> OwnResult:
        """Return what takes what the tool comes to."""
        return current_own_result.get() or self._by_itself

    def _at_hand(self) -> ToolRun | None:
        innermost = runs_at_hand.get()[-1:]
        return next((run for run in innermost if isinstance(run, ToolRun) and run.of is self), None)


current_admission: ContextVar[Admission | None] = ContextVar("current_admission", default=None)
"""The call that the code at hand works for, if for one."""


@contextmanager
def admit(admission: Admission) -> Iterator[None]:
    """Have the code inside work for a call that has passed the boundary."""
    token = current_admission.set(admission)
    try:
        yield
    finally:
        current_admission.reset(token)
