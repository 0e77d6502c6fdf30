"""The tool boundary: every tool of a turn runs here, so that it runs once and what it did is told in order."""

import asyncio
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from functools import partial
from typing import Any

from k8gentai.agents.adapters.base.call_matching import matching_call
from k8gentai.agents.adapters.base.tool_choice import WITHHELD
from k8gentai.agents.code.exceptions import words_of
from k8gentai.agents.contract.events import (
    Event,
    StepCompleted,
    StepStarted,
    ToolCall,
    ToolResult,
    tool_step,
)
from k8gentai.agents.contract.idempotency import CallKey, current_call_key
from k8gentai.agents.contract.turn import NOT_APPROVED, Decision, ToolFailedError, ToolOutcome
from k8gentai.agents.resources.agent import ToolTerms
from k8gentai.agents.text.json_text import arguments_object, shown_json
from k8gentai.agents.text.utf8 import message_of
from k8gentai.agents.tools.images import shown_images
from k8gentai.agents.tools.own_result import current_own_result
from k8gentai.agents.tools.run_state import RunState
from k8gentai.workers.attempt.approvals import Approvals
from k8gentai.workers.attempt.budget import Budget
from k8gentai.workers.attempt.call_places import CallPlace, CallPlaces
from k8gentai.workers.attempt.inside import Inside, keep_none
from k8gentai.workers.attempt.journal import Journal
from k8gentai.workers.attempt.journal_entries import ToolEntry
from k8gentai.workers.attempt.tool_guard import ToolGuard
from k8gentai.workers.queue.attempts import FencedError
from k8gentai.workers.queue.clock import Clock
from k8gentai.workers.tools.call_patience import CallPatience
from k8gentai.workers.tools.call_records import NOT_BEGUN, CallRecords
from k8gentai.workers.tools.running_call import (
    INTERRUPTED,
    RunningCall,
    calls_around,
    key_around,
    left_around,
    open_around,
    scope,
)

_STOPPED = "this tool was stopped before its end: whether it took effect is not known"
_ARGUMENTS_SHOWN = 500
"""Characters of arguments that cannot be read which the model is shown again."""


class Tools:
    """The tools of one attempt (:class:`k8gentai.agents.contract.turn.ToolBoundary`).

    Args:
        turn_id: the turn, which names its calls to the tools.
        policies: what the definition says of its tools, by name.
        journal: knows what earlier attempts ran.
        publish: takes a call's id and its events, the call itself first.
        approvals: asks a person.
        budget: how many calls there may be.
        deadline: until when the attempt may run, by Redis' clock.
        clock: that one.
        unreadable: the arguments that are no JSON object, by the ids of the calls that have them, whatever a
            framework makes of those.
        most: how many calls the request allows; further ones are not made, and the model is told so.
        written: the arguments as the model wrote them, by the ids of its calls.
        guard: is to know of every call.
        images: takes the images of results, by the ids of the calls, before the agent sees the results.
        keep: takes what was done inside a call that is answered from the journal, which is not done again.
        withheld: the request allows no call, so that none runs which no earlier attempt began.
    """

    def __init__(
        self,
        turn_id: str,
        policies: Mapping[str, ToolTerms],
        journal: Journal,
        publish: Callable[[str, Event], None],
        approvals: Approvals,
        budget: Budget,
        deadline: float,
        clock: Clock,
        unreadable: Mapping[str, str] | None = None,
        most: int | None = None,
        *,
        written: Mapping[str, str] | None = None,
        guard: ToolGuard,
        images: dict[str, list[str]] | None = None,
        keep: Callable[[Inside], None] = keep_none,
        withheld: bool = False,
    ) -> None:
        self._keep = keep
        self._withheld = ToolEntry(state="done", output=WITHHELD, is_error=True) if withheld else None
        self.deadline = deadline
        self.clock = clock
        self._most = most
        self._made = 0
        self._turn_id = turn_id
        self._policies = policies
        self._journal = journal
        self._publish = publish
        self._approvals = approvals
        self._budget = budget
        self._unreadable = {} if unreadable is None else unreadable
        self._written = {} if written is None else written
        self._guard = guard
        self._images = {} if images is None else images
        self._running: set[RunningCall] = set()
        self._records = CallRecords(journal, budget)
        self._patience = CallPatience(journal, self._records, lambda: approvals.over)
        self._places = CallPlaces(journal, self._written)
        self._asking: Counter[str] = Counter()
        """How many calls a person is asked to approve, by their ids as the agent has them."""
        self._put_to_people: set[str] = set()
        """What a person was asked about: calls, and other questions, by their ids."""
        self._begun: set[str] = set()
        """Calls of this attempt. A framework makes one again whose tool stopped to ask a person."""
        self._answered_inside: set[str] = set()
        """Calls and questions inside calls that are answered from the journal."""
        self._is_inside_unknown = False
        """Whether what was done inside such a call is not known: its worker died, or an older version recorded
        it."""
        self._call_keys: list[CallKey] = []
        self._claiming = threading.Lock()

    @property
    def busy(self) -> bool:
        """Whether any tool does something, other than to wait for a person."""
        return self._patience.busy or any(not running.asks or running.own.is_at_work for running in self._running)

    @property
    def is_over(self) -> bool:
        """Whether the attempt has ended."""
        return self._approvals.over

    def tokens_left(self) -> int | None:
        """Return what the turn may still use; None where there is no limit."""
        return self._budget.tokens_left()

    def exempt(self, call_id: str, *, ran: bool = False) -> None:
        """Note that no tool runs for a call; see :class:`k8gentai.agents.contract.turn.ToolBoundary`."""
        self._guard.came(call_id, elsewhere=ran)

    def claim(self, name: str, arguments: dict[str, Any], *, nested: bool) -> str | None:
        """Return the model's call that code answers; see :class:`k8gentai.agents.contract.turn.ToolBoundary`."""
        with self._claiming:
            due = self._guard.due(name, scope())
            read = {call_id: arguments_object(self._written.get(call_id, "")) for call_id in due}
            asked = {
                call_id: written
                for call_id, written in read.items()
                if written is not None and (written == arguments or (due[call_id] and not nested))
            }
            found = matching_call(arguments, asked)
            if (made := found or next(iter(asked), None)) is not None:
                self._guard.came(made, elsewhere=found is None)
            return found

    def close(self) -> None:
        """Withdraw the idempotency keys of the attempt's calls: it is over."""
        for key in self._call_keys:
            key.over = True

    def seconds(self, name: str) -> float | None:
        """Return how long a call of a tool may take; None for as long as it likes."""
        policy = self._policies.get(name)
        return policy.timeout_seconds if policy else None

    def waits_for(self, call_id: str) -> bool:
        """Return whether a call waits for a person's approval. Read from any thread.

        Args:
            call_id: the call's id as the agent has it.
        """
        return self._asking[call_id] > 0

    async def record_begun(self, running: RunningCall) -> None:
        """Record that a call runs; see :class:`k8gentai.workers.tools.call_records.CallRecords`."""
        await self._records.begun(running)

    def patience_with(self, running: RunningCall, run: RunState) -> AbstractAsyncContextManager[None]:
        """Return what is open while code around the tool of a call waits for a run of that; see
        :meth:`k8gentai.workers.tools.call_patience.CallPatience.with_run`."""
        return self._patience.with_run(running, run)

    def decision(self, question: str, name: str, arguments: str) -> Decision | None:
        """Return what was decided; see :class:`k8gentai.workers.attempt.approvals.Approvals`."""
        self._note_question(question)
        return self._approvals.decision(question, name, arguments)

    async def ask(self, call_id: str, name: str, arguments: str, about: Sequence[str] = ()) -> Decision:
        """Ask a person; see :class:`k8gentai.workers.attempt.approvals.Approvals`."""
        self._note_question(call_id)
        around, left = open_around(), left_around()
        is_answered = self._approvals.decision(call_id, name, arguments) is not None
        for running in around:
            if not running.own.is_inside:
                # As far as anybody knows, code around its tool asks about the call.
                self._put_to_people.add(running.call_id)
            if is_answered:
                # It goes on, and what its worker leaves behind is to say so.
                continue
            if running.leaves():
                await self._records.left(running)
            elif running.asked_agent is not None:
                await self._records.left_asking(running)
        # Only now: once nothing else is at work, a turn is suspended with the questions that were put.
        for running in around:
            running.ask()
        for running in left:
            # Else the turn would wait for the tool, and the tool for the person.
            running.own.ask()
        waiting = [*about, *(running.call_id for running in around)]
        try:
            decision = await self._approvals.ask(call_id, name, arguments, waiting)
        except asyncio.CancelledError:
            if not self.is_over:
                # Code inside them goes on without, unless they are stopped themselves.
                _go_on(running for running in around if not running.is_being_stopped)
            raise
        finally:
            for running in left:
                running.own.answered()
        _go_on(around)
        return decision

    async def call(
        self,
        call_id: str,
        name: str,
        arguments: dict[str, Any],
        run: Callable[[], Awaitable[str | ToolOutcome]],
        *,
        approval: bool = False,
        starts_work: bool = False,
    ) -> ToolOutcome:
        """Run a tool, unless an earlier attempt finished it, and return what the model is to see; see
        :class:`k8gentai.agents.contract.turn.ToolBoundary`.

        An exception of the tool, a time-out and a person's denial are shown to the model.

        Raises:
            BudgetExceededError: it was one call too many; the turn ends.
            JournalFullError: it cannot be recorded; the turn ends.
        """
        self._guard.came(call_id)
        unreadable = self._unreadable.get(call_id)
        arguments_json = shown_json(arguments) if unreadable is None else unreadable
        place = self._places.find(call_id, name, arguments_json)
        given_id, call_id, known = call_id, place.call_id, place.entry
        again, ran, is_left, is_asked = call_id in self._begun, False, False, False
        running: RunningCall | None = None
        try:
            if not again and self._is_one_too_many(known):
                return await self._skip(ToolCall(call_id=call_id, name=name, arguments=arguments_json))
            if not again or place.is_left:
                await self._begin(call_id)
            policy = self._policy(name)
            self._publish(call_id, ToolCall(call_id=call_id, name=name, arguments=arguments_json))
            denial = self._withheld or _unread(unreadable) if known is None else None
            if denial is None and self._journal.is_full and (known is None or known.state != "done"):
                self._budget.unrecorded(NOT_BEGUN)
            # Whatever its definition has said since: what a person was asked is theirs to decide.
            was_asked = self._approvals.decision(call_id, name, arguments_json) is not None
            must_be = approval or policy.approval == "required" or self._replaces_approved(name)
            is_asked = (must_be or was_asked) and not _is_interrupted(place, policy)
            async with self._patience.with_call(place, partial(self._give_up_again, place, name)) as patience_key:
                if denial is None and is_asked and not place.is_passed:
                    denial = await self._ask_whether(given_id, call_id, name, arguments_json)
                if not again:
                    self._publish(call_id, StepStarted(step_id=tool_step(call_id), kind="tool", name=name))
                running = RunningCall(call_id, name, policy, self, place, patience_key)
                running.own.is_approved = is_asked
                self._running.add(running)
                try:
                    entry = denial or await self._once(running, policy, run, starts_work=starts_work)
                finally:
                    self._running.discard(running)
            # One that failed may be tried again under its idempotency key, unless a person approved it.
            ran = denial is None and (is_asked or not entry.is_error)
        except FencedError as error:
            # The turn is not ours any more. Frameworks show ordinary exceptions to the model; this one stops them.
            raise asyncio.CancelledError from error
        except asyncio.CancelledError:
            # What a person approved runs once, also where the agent does not wait for its end.
            is_left = running.may_have_taken_effect if running is not None else known is not None
            ran = is_asked and is_left
            raise
        finally:
            if not ran:
                inside = running.inside if running is not None else place.inside
                kept = running.entry if running is not None and is_left else None
                self._places.stop(place, inside, is_left=is_left, kept=kept)
        if ran:
            self._places.end(place, entry)
        if entry.images:
            self._images[given_id] = entry.images
        self._tell_end(place, entry)
        recorded = denial is None and known is not None and known.state == "done"
        return ToolOutcome(entry.output, entry.is_error, entry.raw, entry.results, recorded=recorded)

    def _tell_end(self, place: CallPlace, entry: ToolEntry) -> None:
        """Publish what a call came to, and count what it used of models by itself."""
        call_id = place.call_id
        for usage in entry.usage if not place.has_ended else ():
            self._budget.use(usage, key_around())
            self._publish(call_id, usage)
        result = ToolResult(call_id=call_id, output=entry.output, is_error=entry.is_error, results=entry.results)
        self._publish(call_id, result)
        self._publish(call_id, StepCompleted(step_id=tool_step(call_id), kind="tool"))

    def _give_up_again(self, place: CallPlace, name: str) -> None:
        """Note that a call is given up as in an earlier attempt. What was done inside it is not done again."""
        if place.entry is not None:
            self._publish(place.call_id, StepStarted(step_id=tool_step(place.call_id), kind="tool", name=name))
            self._answer_inside(place.entry.inside)

    async def _begin(self, call_id: str) -> None:
        """Count a call that is made, or made again by an agent that had given it up.

        Raises:
            BudgetExceededError: it was one call too many.
            FencedError: the attempt is over.
        """
        self._begun.add(call_id)
        self._made += 1
        self._budget.tool_call()
        await self._note_around(Inside(calls=[call_id], counted=1))

    def _replaces_approved(self, name: str) -> bool:
        """Return whether a call is made in place of one around it, of the same tool, that its agent's own code or
        framework has put to a person: they approved that one."""
        return any(call.name == name and call.call_id in self._put_to_people for call in calls_around.get())

    def _is_one_too_many(self, known: ToolEntry | None) -> bool:
        """Return whether the request allows no such call. One that an earlier attempt made was allowed."""
        return self._most is not None and self._made >= self._most and known is None

    async def _note_around(self, done: Inside) -> None:
        """Note what is done inside the calls around the code at hand.

        Raises:
            FencedError: the attempt is over.
        """
        self._budget.insides.add(key_around(), done)
        for around in open_around():
            # Its worker may die, and no other attempt comes to what is done inside it.
            if around.is_never:
                await self._records.begun(around)

    def _answer_inside(self, inside: Inside | None) -> None:
        """Have what was done inside a call count that is answered from the journal."""
        if inside is None:
            self._is_inside_unknown = True
            return
        self._answered_inside.update(inside.calls)
        self._keep(inside)
        self._made += inside.counted
        self._budget.answered(inside, key_around())

    def _note_question(self, question: str) -> None:
        self._put_to_people.add(question)
        self._budget.insides.add(key_around(), Inside(calls=[question]))

    def has_come_to(self, call_id: str) -> bool:
        """Return whether this attempt came to a call or to another question, or need not, as it is recorded; also
        where that cannot be told, as what was done inside a call is not known."""
        came_to = (self._begun, self._put_to_people, self._answered_inside)
        return self._is_inside_unknown or any(call_id in ids for ids in came_to) or self._journal.is_done(call_id)

    def begin_anew(self) -> None:
        """Note that a framework goes on with code that it had begun, from its beginning; see
        :class:`k8gentai.agents.contract.turn.ToolBoundary`."""
        self._places.begin_anew()

    def _policy(self, name: str) -> ToolTerms:
        return self._policies.get(name) or ToolTerms(name=name)

    async def _skip(self, call: ToolCall) -> ToolOutcome:
        """Answer a call that is not made, as Llama Stack's loop does."""
        self._publish(call.call_id, call)
        await self._note_around(Inside(calls=[call.call_id]))
        text = f"Tool call skipped: maximum tool calls limit ({self._most}) reached."
        self._publish(call.call_id, ToolResult(call_id=call.call_id, output=text, is_error=True))
        return ToolOutcome(text, is_error=True)

    async def _ask_whether(self, given_id: str, call_id: str, name: str, arguments_json: str) -> ToolEntry | None:
        """Ask a person whether a call may run. Returns what the model sees of it if it may not."""
        self._asking[given_id] += 1
        try:
            return _denial(await self.ask(call_id, name, arguments_json))
        finally:
            self._asking[given_id] -= 1

    def _call_key(self, place: CallPlace) -> CallKey:
        key = CallKey(f"{self._turn_id}:{place.key}", is_scope=place.is_scoped)
        self._call_keys.append(key)
        return key

    async def _once(
        self,
        running: RunningCall,
        policy: ToolTerms,
        run: Callable[[], Awaitable[str | ToolOutcome]],
        *,
        starts_work: bool,
    ) -> ToolEntry:
        """Return what a call came to, now or before. It is in the journal."""
        place, images = running.place, running.images
        if place.entry is not None and place.entry.state == "done":
            if starts_work and not place.entry.is_error:
                async with self._journal.tool_in_turn(place.key):
                    pass
                return await self._start_again(running, place.entry, policy, run)
            if not place.has_ended:
                self._answer_inside(place.entry.inside)
            async with self._journal.tool_in_turn(place.key):
                return place.entry
        if _is_interrupted(place, policy):
            if not place.is_left and place.entry is not None:
                running.inside = (place.entry.inside or Inside()).copy_of()
                self._answer_inside(place.entry.inside)
            # What code around its tool asked in an earlier attempt is recorded nowhere.
            self._is_inside_unknown = self._is_inside_unknown or not place.is_left
            outcome = ToolOutcome(INTERRUPTED, is_error=True)
        else:
            outcome = await self._run(running, policy, run)
        # Before anybody else gets it: neither Redis nor a model takes what has no measure.
        self._budget.tool_result(len(outcome.output) + len(outcome.raw) + sum(map(len, images)))
        entry = running.record(
            state="done",
            output=outcome.output,
            is_error=outcome.is_error,
            raw=outcome.raw,
            results=outcome.results,
        )
        try:
            await self._records.ended(running, entry)
        except asyncio.CancelledError:
            if not self.is_over:
                # It ran, also for an agent that waits for it no more.
                await self._records.ended(running, entry)
            raise
        return entry

    async def _run(
        self, running: RunningCall, policy: ToolTerms, run: Callable[[], Awaitable[str | ToolOutcome]]
    ) -> ToolOutcome:
        """Run a tool, with what is around it. One that is stopped is recorded as far as it came."""
        await self._records.begun(running)
        if running.place.inside is None:
            self._answer_inside(running.inside)
        try:
            with self._within(running):
                outcome = await _guarded(running, policy, run)
            if running.asks and self._approvals.over:
                # Its code was cancelled while it asked, and it or its framework made a result of that.
                raise asyncio.CancelledError
        except BaseException as error:
            is_cancelled = isinstance(error, asyncio.CancelledError)
            if not is_cancelled:
                running.is_stopped = True
                try:
                    async with asyncio.timeout_at(running.limit.when()):
                        await running.own_end()
                except TimeoutError:
                    running.own.stop()
                    return _too_slow(policy)
            if running.own.has_ended or running.asks or not is_cancelled:
                # It stops for a person: by an exception of the framework's own, or cancelled while it asks.
                await self._records.left(running)
            elif not self.is_over:
                await self._records.given_up(running)
            raise
        return outcome

    async def _start_again(
        self,
        running: RunningCall,
        entry: ToolEntry,
        policy: ToolTerms,
        run: Callable[[], Awaitable[str | ToolOutcome]],
    ) -> ToolEntry:
        """Run a tool again whose call is done, for what it leaves running; return what the call came to.

        What it does until it returns is done, and counts, as in the attempt before.
        """
        with self._within(running):
            outcome = await _guarded(running, policy, run)
        return running.record(state="done", output=outcome.output, is_error=True) if outcome.is_error else entry

    @contextmanager
    def _within(self, running: RunningCall) -> Iterator[None]:
        """While inside, the code at hand works for a call."""
        key = running.place.key
        self._budget.insides.open(key, key_around(), running.inside)
        token = current_call_key.set(self._call_key(running.place))
        around = calls_around.set((*calls_around.get(), running))
        showing = shown_images.set(running.images)
        returning = current_own_result.set(running.own)
        try:
            yield
        finally:
            running.has_ended = True
            self._budget.insides.close(key)
            current_call_key.reset(token)
            calls_around.reset(around)
            shown_images.reset(showing)
            current_own_result.reset(returning)


def _go_on(calls: Iterable[RunningCall]) -> None:
    """Note that calls do not wait for a decision any more."""
    for running in calls:
        running.answered()


def _is_interrupted(place: CallPlace, policy: ToolTerms) -> bool:
    """Return whether a call was begun that is not to be run again, and it is not known what its tool came to, or
    that it waits for another agent, which it finds again."""
    known = place.entry
    is_open = known is not None and known.state == "running"
    # Behind tries that failed another one may have begun.
    is_known = known is not None and known.is_kept and not (is_open and known.is_tried)
    return (place.is_left or is_open) and not is_known and policy.retry == "never"


def _denial(decision: Decision) -> ToolEntry | None:
    """Return what the model sees of a call that was not approved."""
    if decision.approve:
        return None
    because = f": {decision.reason}" if decision.reason else ""
    return ToolEntry(state="done", output=f"{NOT_APPROVED}{because}", is_error=True)


def _unread(arguments: str | None) -> ToolEntry | None:
    """Return what the model sees of a call whose arguments cannot be read: no tool is run with others."""
    if arguments is None:
        return None
    output = f"the arguments are not a JSON object, so the tool was not run: {arguments[:_ARGUMENTS_SHOWN]}"
    return ToolEntry(state="done", output=output, is_error=True)


def _too_slow(policy: ToolTerms) -> ToolOutcome:
    return ToolOutcome(f"the tool did not answer within {policy.timeout_seconds:g} s", is_error=True)


async def _guarded(
    running: RunningCall, policy: ToolTerms, run: Callable[[], Awaitable[str | ToolOutcome]]
) -> ToolOutcome:
    try:
        async with running.limit:
            result = await run()
    except ToolFailedError as error:
        return ToolOutcome(message_of(error), is_error=True)
    except (Exception, SystemExit, KeyboardInterrupt, GeneratorExit) as error:  # noqa: BLE001 - for the model to read
        if isinstance(error, TimeoutError) and running.limit.expired():
            return _too_slow(policy)
        return ToolOutcome(words_of(error), is_error=True)
    except asyncio.CancelledError as error:
        if running.is_cancelled:
            raise
        return ToolOutcome(f"{words_of(error)} ({_STOPPED})", is_error=True)
    return result if isinstance(result, ToolOutcome) else ToolOutcome(result)
