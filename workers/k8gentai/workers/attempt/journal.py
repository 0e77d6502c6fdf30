"""A turn's journal: what its models answered, what its tools returned and what its other effects came to, so that
running the agent again costs nothing and does nothing twice.

A model call is known by its canonical request, by the tool call inside which it is made, and by how many equal
ones came before it there in the attempt; a tool call by its call id; any other effect, as reading a file, by its
kind and by what is asked, and else as a model call is. A request that differs from all recorded ones is simply
made. Requests are kept as hashes and answers without headers, so no credential is ever written.

The canonical request is part of what is stored: a turn that one version began is run again by another, in a
rolling update and when a person answers, and finds its answers and the ids of its tool calls by it alone. What a
later version adds to model calls, or mends in them, is added after :meth:`Journal.model_key`. The same holds of an
effect's key.
"""

import asyncio
import hashlib
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

import structlog

from k8gentai.agents.contract.turn import ToolFailedError
from k8gentai.workers.attempt.given_up import GivenUp
from k8gentai.workers.attempt.journal_entries import (
    Answer,
    Failure,
    ToolEntry,
    begun_tools,
    done_tools,
    failure_key,
    tool_key,
)
from k8gentai.workers.attempt.recorded_order import Place, RecordedOrder
from k8gentai.workers.attempt.spare_time import Pause
from k8gentai.workers.queue.attempts import Attempts, Lease
from k8gentai.workers.queue.connection import until_back
from k8gentai.workers.queue.stored import EFFECT, FAILURE, GIVEN_UP, MODEL, ORDER

_REPEATABLE_BYTES = 2**20
"""The bytes up to which the result of an effect is recorded that may as well be asked for again, as a file."""
_REPEATABLE_IN_ALL = 2**22
"""The bytes of a turn's journal that such results may take together: the rest is for what cannot be done again."""

log = structlog.get_logger(__name__)


class EffectRefusedError(ToolFailedError):
    """An effect was refused, and would be refused again. It is recorded as a result is.

    Args:
        message: why.
        code: the refusal's code; empty where it has none.
        status: the refusal's HTTP status.
    """

    def __init__(self, message: str, code: str = "", status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


class Journal:
    """One attempt's view of its turn's journal.

    What earlier attempts recorded is answered; what this one does is recorded for the next, one entry after
    another, as what came later may rest on what came before. Writing waits while Redis is away.

    Args:
        attempts: does the writing.
        lease: the attempt.
        recorded: the journal as it stands, from :meth:`Attempts.journal`.
        pause: takes its time on the agents' loop.
    """

    def __init__(
        self, attempts: Attempts, lease: Lease, recorded: dict[str, str], pause: Pause = asyncio.sleep
    ) -> None:
        self._attempts = attempts
        self._lease = lease
        self._recorded = recorded
        self._began = time.monotonic()
        self._asked: Counter[str] = Counter()
        self._made: Counter[str] = Counter()
        self._asked_at: dict[str, float] = {}
        """The times at which calls were made (monotonic, in seconds), by their keys and by those from
        :meth:`patience_key`."""
        self._answered = 0
        self._effects_answered = 0
        self._repeatable_bytes = sum(len(kept) for key, kept in recorded.items() if key.startswith(EFFECT))
        """The bytes of the journal that effects take that may as well be asked for again."""
        self.is_full = False
        """Whether something of this attempt did not fit: run again, the turn would go another way from there."""
        self._finished: set[str] = set()
        """The ids of the tool calls whose results were asked for."""
        self._begun: set[str] = set()
        """The keys of the tool calls that this attempt recorded."""
        self._done: set[str] = set()
        """The keys of the tool calls that came to their ends in this attempt."""
        self._writing = asyncio.Lock()
        self._order = RecordedOrder(_places(recorded), pause)

    def model_key(self, request: dict[str, Any], around: str = "") -> str:
        """Return the key of the model call that is about to be made. Counts it.

        Args:
            request: the body of the call.
            around: the tool call inside which it is made, empty where it is inside none. Once that is answered
                from here, what was asked inside it is asked no more, and is not to answer others.
        """
        canonical = json.dumps(request, sort_keys=True, separators=(",", ":"))
        if around:
            canonical += f"\n{around}"
        return self._counted(MODEL, canonical)

    async def once[T](
        self,
        kind: str,
        key: str,
        make: Callable[[], Awaitable[T]],
        *,
        around: str = "",
        bytes_of: Callable[[T], int] | None = None,
    ) -> T:
        """Return the result of an effect that is neither a model call nor a tool call: the one that an earlier
        attempt recorded, or that of ``make``, which is recorded before it is returned.

        An effect whose attempt ends before its result is recorded is made again, as is one that failed otherwise
        than by a refusal.

        Args:
            kind: the kind of effect, a word.
            key: what it is done to or with, in a form that every later version writes alike. Equal effects of one
                attempt are told apart by how many came before.
            make: does it, and returns its result, which is JSON.
            around: the tool call inside which it is done, empty where it is inside none. Once that is answered
                from here, what was done inside it is not asked for.
            bytes_of: returns how large a result is. Given for an effect that may as well be made again, as it
                changes nothing and no other result would lead the agent elsewhere: a large one is not recorded.

        Raises:
            EffectRefusedError: ``make`` raised it, in this attempt or an earlier one.
            FencedError: the attempt is over.
            Exception: whatever else ``make`` raises.
        """
        own = self._counted(f"{EFFECT}{kind} ", json.dumps([key, around]))
        self._asked_at[own] = time.monotonic()
        async with self._order.turn_of(own):
            if (recorded := self._recorded.get(own)) is not None:
                self._effects_answered += 1
                before: T = json.loads(recorded)
                return before
            if refused := self.failure(own):
                raise EffectRefusedError(refused.cause, refused.code, refused.status)
        try:
            result = await make()
        except EffectRefusedError as error:
            refusal = Failure(cause=str(error), status=error.status, code=error.code)
            await self.record_failure(own, refusal, around)
            raise
        if bytes_of is None:
            await self._record(own, json.dumps(result, separators=(",", ":")), around)
        elif self._has_room(bytes_of(result)):
            await self._record(own, json.dumps(result, separators=(",", ":")), around, is_needed=False)
        return result

    def _has_room(self, size: int) -> bool:
        """Return whether a result is recorded that may as well be asked for again. Counts it where it is."""
        fits = size <= _REPEATABLE_BYTES and self._repeatable_bytes + size <= _REPEATABLE_IN_ALL
        if fits:
            self._repeatable_bytes += size
        return fits

    def _counted(self, kind: str, asked: str) -> str:
        """Return the key of what is asked, which has a number among its equals of this attempt."""
        known = kind + hashlib.sha256(asked.encode()).hexdigest()
        self._asked[known] += 1
        return f"{known} {self._asked[known]}"

    def answer(self, key: str) -> Answer | None:
        """Return what was answered to a model call in an earlier attempt."""
        recorded = self._recorded.get(key)
        if recorded is None:
            return None
        self._answered += 1
        answer: Answer = json.loads(recorded)
        return answer

    def in_turn(self, key: str) -> AbstractAsyncContextManager[None]:
        """Hold a model call until what was recorded before its answer or failure was given to the agent. It is to
        be left once the agent has that, too. A call of which nothing is recorded is not held.

        Args:
            key: the call's.
        """
        return self._order.turn_of(key)

    def tool_in_turn(self, call_id: str) -> AbstractAsyncContextManager[None]:
        """Hold a tool call that is done in the same way."""
        self._order.skip_inside(tool_key(call_id))
        return self._order.turn_of(tool_key(call_id))

    def skip(self, call_id: str) -> None:
        """Wait for nothing that was recorded of a tool call, and inside it: the agent gives it up again."""
        self._order.skip(tool_key(call_id))

    async def record_answer(self, key: str, answer: Answer, around: str = "") -> None:
        """Keep a model's whole answer. To be done before the agent sees its end. What does not fit is not kept.

        Args:
            key: the call's.
            answer: the model's answer.
            around: the tool call inside which the call was made, empty where it was inside none.

        Raises:
            FencedError: the attempt is over.
        """
        await self._record(key, json.dumps(answer, separators=(",", ":")), around)

    def failure(self, key: str) -> Failure | None:
        """Return how a model call failed in an earlier attempt."""
        recorded = self._recorded.get(failure_key(key))
        return None if recorded is None else Failure.model_validate_json(recorded)

    async def record_failure(self, key: str, failure: Failure, around: str = "") -> None:
        """Keep how a model call failed. To be done before the agent knows. What does not fit is not kept.

        Args:
            key: the call's.
            failure: the failure.
            around: the tool call inside which the call was made, empty where it was inside none.

        Raises:
            FencedError: the attempt is over.
        """
        await self._record(failure_key(key), self._at_this_stage(failure), around)

    def patience_key(self, key: str) -> str:
        """Return the key of whether the agent waits for a call that it is about to make. Counts the call: one that
        it gave up and makes again, it may wait for.

        Args:
            key: the call's: that of a model call, or from :func:`tool_key`.
        """
        self._made[key] += 1
        own = f"{GIVEN_UP}{key} {self._made[key]}"
        self._asked_at[key] = self._asked_at[own] = time.monotonic()
        return own

    def given_up(self, key: str) -> GivenUp | None:
        """Return that the agent gave up a call in an earlier attempt.

        Args:
            key: from :meth:`patience_key`.
        """
        recorded = self._recorded.get(key)
        return None if recorded is None else GivenUp.model_validate_json(recorded)

    async def record_given_up(self, key: str, given_up: GivenUp, around: str = "") -> None:
        """Keep that the agent gave up a call. To be handed over before it goes on.

        Args:
            key: from :meth:`patience_key`.
            given_up: the giving up.
            around: the tool call inside which the call was made, empty where it was inside none.

        Raises:
            FencedError: the attempt is over.
        """
        noted = given_up.model_copy(update={"since_begin": time.monotonic() - self._began})
        await self._record(key, self._at_this_stage(noted), around)

    async def hold(self, key: str, given_up: GivenUp) -> None:
        """Hold a call that the agent had given up, until it has waited for longer than then: it waits for an
        answer now, and will have had it should the turn be run again.

        Args:
            key: from :meth:`patience_key`.
            given_up: the giving up.

        Raises:
            FencedError: the attempt is over.
        """
        with self._order.held(key):
            await given_up.hold()
        log.info("agent_waits_longer", turn=self._lease.turn_id, seconds=given_up.seconds)
        await self._record(key, "")

    def tool(self, call_id: str) -> ToolEntry | None:
        """Return what became of a tool call in an earlier attempt."""
        recorded = self._recorded.get(tool_key(call_id))
        if recorded is None:
            return None
        entry = ToolEntry.model_validate_json(recorded)
        if entry.state == "done":
            self._finished.add(call_id)
        return entry

    async def record_tool(self, call_id: str, entry: ToolEntry, around: str = "") -> bool:
        """Keep what becomes of a tool call: before it begins, and before the agent sees its result.

        Args:
            call_id: the call.
            entry: the state of the call, and its result.
            around: the tool call inside which it is made, empty where it is inside none.

        Returns:
            Whether there was room for it.

        Raises:
            FencedError: the attempt is over.
        """
        self._begun.add(tool_key(call_id))
        if entry.state == "done":
            self._done.add(tool_key(call_id))
        return await self._record(tool_key(call_id), entry.model_dump_json(), around)

    def is_done(self, call_id: str) -> bool:
        """Return whether a tool call came to its end, in this attempt or an earlier one."""
        key = tool_key(call_id)
        return key in self._done or key in done_tools({key: self._recorded.get(key, "{}")})

    async def close(self) -> None:
        """End the attempt, as the agent came to its end: note how many calls and effects were answered from here.

        Raises:
            FencedError: the attempt is over.
        """
        # What is being written tells how the agent came here.
        async with self._writing:
            pass
        models, tools, effects = self._answered, len(self._finished), self._effects_answered
        if models or tools or effects:
            replayed = partial(self._attempts.replayed, self._lease, models=models, tools=tools, effects=effects)
            await until_back(replayed, turn=self._lease.turn_id)

    def _at_this_stage(self, noted: Failure | GivenUp) -> str:
        stage = {
            "turn_id": self._lease.turn_id,
            "tools_begun": len(begun_tools(self._recorded) | self._begun),
            "tools_done": len(done_tools(self._recorded) | self._done),
        }
        return noted.model_copy(update=stage).model_dump_json()

    def _place(self, key: str, around: str) -> str:
        """Return what is known of an entry's place in the order in which they come."""
        now = time.monotonic()
        asked_at = self._asked_at.get(key.removeprefix(FAILURE), now)
        known = {
            "around": around and tool_key(around),
            "attempt": self._lease.attempt,
            "since_begin": now - self._began,
            "waited": now - asked_at,
        }
        return json.dumps(known)

    async def _record(self, key: str, value: str, around: str = "", *, is_needed: bool = True) -> bool:
        """Write an entry. Returns whether there was room for it; where not, the journal is full, unless nothing
        rests on that entry."""
        record = partial(self._attempts.record, self._lease, key, value, self._place(key, around))
        async with self._writing:
            fits = await until_back(record, turn=self._lease.turn_id)
        if not fits:
            self.is_full |= is_needed
            log.warning("journal_full", turn=self._lease.turn_id, entry=key.partition(" ")[0], bytes=len(value))
        return fits


def _places(recorded: Mapping[str, str]) -> dict[str, Place]:
    """Return where the entries of a journal stand in their order, but answers that the agent did not wait for."""
    unread = {
        key.removeprefix(GIVEN_UP).rpartition(" ")[0] for key in recorded if key.startswith(f"{GIVEN_UP}{MODEL}")
    }
    places = {key.removeprefix(ORDER): value for key, value in recorded.items() if key.startswith(ORDER)}
    return {key: Place.model_validate_json(value) for key, value in places.items() if key not in unread}
