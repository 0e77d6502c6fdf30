"""Holds a tool to the call that was admitted: what runs is what the record and a person know of."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

from k8gentai.agents.text.utf8 import jsonable
from k8gentai.agents.tools.own_result import OwnResult, current_own_result


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
        self._taken = False
        self._is_left = False
        self._entered = False

    @property
    def is_open(self) -> bool:
        """Whether the tool is yet to run, or failed."""
        return not self._taken and not self._is_left

    def takes_run(self) -> bool:
        """Return whether a run of the tool that is about to begin, with the call's arguments, is the call's: not
        one that is begun beside another. To be asked once a run."""
        own = current_own_result.get()
        return self.is_open if own is None else not own.is_beside(taken=not self.is_open)

    @property
    def is_at_work(self) -> bool:
        """Whether the code at hand is part of the tool."""
        return _at_work.get() is self

    def own_result(self) -> OwnResult:
        """Return what takes the result of the tool that is about to run, and may have it already."""
        holder = None if self.is_at_work else current_own_result.get()
        return OwnResult() if holder is None else holder

    @contextmanager
    def at_work(self, *passing: type[Exception]) -> Iterator[None]:
        """While inside, the tool runs; one that raises may be tried again, but not one that a person approved and
        the agent did not wait for: it may have done what it was approved for.

        Args:
            passing: what is no failure, but a word of the framework to itself.

        Raises:
            asyncio.CancelledError: the call has stopped for a person, and is made again.
        """
        own = current_own_result.get()
        with nullcontext() if own is None else own.at_work(*passing), self._taking(own):
            yield

    @contextmanager
    def _taking(self, own: OwnResult | None) -> Iterator[None]:
        self._taken, self._entered = True, False
        token = _at_work.set(self)
        try:
            yield
        except BaseException as error:
            is_left = isinstance(error, asyncio.CancelledError) and own is not None and own.is_approved
            self._taken = is_left
            raise
        finally:
            _at_work.reset(token)

    @asynccontextmanager
    async def awaited(self, own: OwnResult) -> AsyncIterator[None]:
        """Do the same for a tool that is awaited, for which code around it may stop waiting.

        Args:
            own: takes what it returns.

        Raises:
            ToolFailedError: the tool is not to run once more.
        """
        with self.at_work():
            async with own.waited_for():
                with own.tried():
                    yield

    @asynccontextmanager
    async def awaited_in_thread(self, own: OwnResult) -> AsyncIterator[None]:
        """Do the same where the tool is at work in a thread, which goes on when code around it stops waiting: then
        it is not run in the call again.

        Args:
            own: takes what it returns.

        Raises:
            ToolFailedError: the tool is not to run once more.
        """
        try:
            async with own.waited_for():
                yield
        except asyncio.CancelledError:
            self._is_left = True
            raise

    def enter(self) -> bool:
        """Note that the tool's function begins. Returns whether it has not before in this run of the tool: what it
        runs in turn are calls of their own."""
        entered, self._entered = self._entered, True
        return not entered

    def failed(self) -> None:
        """Take note that what the tool returned is an error, so that it may be tried again."""
        self._taken = False


current_admission: ContextVar[Admission | None] = ContextVar("current_admission", default=None)
"""The call that the code at hand works for, if for one."""

_at_work: ContextVar[Admission | None] = ContextVar("tool_at_work", default=None)
"""The call whose tool the code at hand is part of, if it is of one."""


@contextmanager
def admit(admission: Admission) -> Iterator[None]:
    """Have the code inside work for a call that has passed the boundary."""
    token = current_admission.set(admission)
    try:
        yield
    finally:
        current_admission.reset(token)
