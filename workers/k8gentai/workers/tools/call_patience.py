"""How long the agent waits for its tool calls, and code of its own for the tools of these: what they gave up in an
earlier attempt they give up again."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

from k8gentai.agents.contract.turn import ToolFailedError
from k8gentai.agents.tools.run_state import RunState
from k8gentai.workers.attempt.call_places import CallPlace
from k8gentai.workers.attempt.given_up import GivenUp
from k8gentai.workers.attempt.journal import Journal
from k8gentai.workers.attempt.journal_entries import own_key, tool_key
from k8gentai.workers.isolation.agents_loop import in_loop
from k8gentai.workers.queue.attempts import FencedError
from k8gentai.workers.tools.call_records import CallRecords
from k8gentai.workers.tools.running_call import INTERRUPTED, RunningCall, key_around


class CallPatience:
    """The patience that one attempt has with its tool calls.

    Args:
        journal: has what was given up in earlier attempts.
        records: takes that a call runs again.
        is_over: returns whether the attempt has ended, so that nobody gives anything up any more.
    """

    def __init__(self, journal: Journal, records: CallRecords, is_over: Callable[[], bool]) -> None:
        self._journal = journal
        self._records = records
        self._is_over = is_over
        self._under_way = 0
        """How many calls are held, or are being recorded as given up."""
        self._home = asyncio.get_running_loop()

    @property
    def busy(self) -> bool:
        """Whether a call is held that the agent had given up, or is being recorded as given up."""
        return self._under_way > 0

    @asynccontextmanager
    async def with_call(self, place: CallPlace, on_given_up_again: Callable[[], None]) -> AsyncIterator[str]:
        """While inside, the agent waits for a call. That it gives the call up is recorded; when the turn is run
        again, the call is held before that. Yields the journal's key of that.

        Args:
            place: the call's.
            on_given_up_again: called where the call is given up as in an earlier attempt.

        Raises:
            asyncio.CancelledError: the agent gave it up, or the attempt is over.
            FencedError: the attempt is over.
        """
        key = self._journal.patience_key(tool_key(place.key))
        began = time.monotonic()
        if (before := self._journal.given_up(key)) is not None:
            try:
                await self._hold(key, before)
            except asyncio.CancelledError:
                self._journal.skip(place.key)
                on_given_up_again()
                raise
        try:
            yield key
        except asyncio.CancelledError:
            if not self._is_over():
                await self._journal.record_given_up(key, GivenUp(seconds=time.monotonic() - began), key_around())
            raise

    @asynccontextmanager
    async def with_run(self, running: RunningCall, run: RunState) -> AsyncIterator[None]:
        """While inside, in whatever loop, code of the agent's around the tool of a call waits for a run of that.
        Where it stops waiting, and the call goes on, do the same as for a call.

        Args:
            running: the call.
            run: the run.

        Raises:
            asyncio.CancelledError: it stopped waiting.
            ToolFailedError: it runs a tool once more that is not to be.
        """
        key = self._journal.patience_key(own_key(running.patience_key))
        began = time.monotonic()
        before = self._journal.given_up(key)
        try:
            if before is not None:
                await in_loop(self._home, self._hold(key, before))
        except FencedError as error:
            raise asyncio.CancelledError from error
        if before is not None and running.is_never:
            # Code around it waits longer than it did.
            run.is_uncertain = True
            raise ToolFailedError(INTERRUPTED)
        try:
            if running.is_to_be_noted:
                await in_loop(self._home, self._records.begun(running))
            yield
        except FencedError as error:
            raise asyncio.CancelledError from error
        except asyncio.CancelledError:
            # A call whose time is over is being stopped, too.
            if not (self._is_over() or running.is_stopped or running.is_being_stopped):
                given_up = GivenUp(seconds=time.monotonic() - began)
                recording = self._record(key, given_up, running.place.key)
                # Code may cancel its task again and again, as anyio does: it is recorded all the same.
                await asyncio.shield(asyncio.wrap_future(asyncio.run_coroutine_threadsafe(recording, self._home)))
            raise

    async def _hold(self, key: str, before: GivenUp) -> None:
        """Hold a call that the agent had given up; see :meth:`k8gentai.workers.attempt.journal.Journal.hold`."""
        with self._counted():
            await self._journal.hold(key, before)

    async def _record(self, key: str, given_up: GivenUp, around: str) -> None:
        with self._counted(), suppress(FencedError):
            await self._journal.record_given_up(key, given_up, around)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
