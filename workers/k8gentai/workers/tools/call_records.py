"""What the journal has of tool calls, from their beginning to their end."""

import asyncio

from k8gentai.agents.code.kept_errors import write_error
from k8gentai.agents.contract.turn import ToolFailedError
from k8gentai.agents.tools.own_result import FailedTry
from k8gentai.workers.attempt.budget import Budget
from k8gentai.workers.attempt.inside import Inside
from k8gentai.workers.attempt.journal import Journal
from k8gentai.workers.attempt.journal_entries import ToolEntry
from k8gentai.workers.queue.attempts import FencedError
from k8gentai.workers.tools.running_call import INTERRUPTED, RunningCall

NOT_BEGUN = "a tool was not run, as an earlier answer or result could not be recorded"

_LOST = (
    "this tool ran, and code around it asked a person: what it returned cannot be kept until they answer, and its "
    "definition says that it is not run again"
)

_TOO_LARGE = "this tool ran, and its result was too large to be kept"

_UNKNOWN = FailedTry(text=write_error(ToolFailedError(INTERRUPTED)) or "", was_raised=True, is_unknown=True)


class CallRecords:
    """The records of one attempt's tool calls.

    Args:
        journal: where they are.
        budget: ends the turn where there is no room for one.
    """

    def __init__(self, journal: Journal, budget: Budget) -> None:
        self._journal = journal
        self._budget = budget

    async def begun(self, running: RunningCall) -> None:
        """Record that a call runs, and what is done inside it so far.

        Raises:
            FencedError: the attempt is over.
            JournalFullError: it cannot be recorded.
        """
        async with running.recording:
            if running.has_ended:
                return
            begun = running.record(state="running", returned=running.own.text, failed=running.own.failed)
            if not await self._journal.record_tool(running.place.key, begun):
                self._budget.unrecorded(NOT_BEGUN)
            running.is_left = False

    async def ended(self, running: RunningCall, entry: ToolEntry) -> None:
        """Record what a call came to.

        Raises:
            FencedError: the attempt is over.
            JournalFullError: it cannot be recorded.
        """
        key = running.place.key
        async with running.recording:
            running.has_ended = True
            if not await self._journal.record_tool(key, entry, running.around):
                # It ran, and is not to run again in a turn that tries this one anew.
                await self._journal.record_tool(key, _short(running, _TOO_LARGE), running.around)
                self._budget.unrecorded("a tool ran, and its result is too large to be recorded")

    async def given_up(self, running: RunningCall) -> None:
        """Record what was done inside a call that the agent gives up: it counts when that does so again.

        Raises:
            FencedError: the attempt is over.
        """
        await self._journal.record_tool(running.place.key, running.record(state="running"))

    async def left(self, running: RunningCall) -> None:
        """Record what the tool of a call came to that does not come to its end in this attempt: what it did it is
        not to do again.

        Raises:
            asyncio.CancelledError: the turn is another worker's.
        """
        own, failed, is_never = running.own, running.own.failed, running.is_never
        if is_never:
            # A further run is one too many, wherever code around it comes to that.
            failed += [_UNKNOWN.model_copy(update={"beside": run.beside}) for run in own.unknown()]
        running.is_left = True
        running.entry = await self._left(running, failed, is_never=is_never)

    async def _left(self, running: RunningCall, failed: list[FailedTry], *, is_never: bool) -> ToolEntry:
        own, key = running.own, running.place.key
        left = running.record(state="left", returned=own.text, failed=failed)
        if own.is_lost:
            left = _short(running, _LOST) if is_never else running.record(state="left")
        try:
            if await self._journal.record_tool(key, left, running.around) or not left.is_kept:
                return left
            short = _short(running, _TOO_LARGE)
            await self._journal.record_tool(key, short, running.around)
        except FencedError as error:
            raise asyncio.CancelledError from error
        return short

    async def left_asking(self, running: RunningCall) -> None:
        """Record the other agent's turn that a call waits for. Where there is no room for that, it is found by its
        idempotency key for as long as that is there.

        Raises:
            asyncio.CancelledError: the turn is another worker's.
        """
        try:
            if not await self._journal.record_tool(running.place.key, running.record(state="left")):
                running.asked_agent = None
        except FencedError as error:
            raise asyncio.CancelledError from error


def _short(running: RunningCall, why: str) -> ToolEntry:
    """Return the record of a call that ran, without what it returned and what was done inside it: the journal may
    have no room for that."""
    return running.place.record(state="done", output=why, is_error=True, usage=running.usage, inside=Inside())
