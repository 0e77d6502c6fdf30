"""Tools that ask a person while they run (k8gentai.workers.tools.boundary)."""

import asyncio
import contextlib
import contextvars
import json
import math
from collections import Counter

import pytest

from k8gentai.agents.adapters.base.tool_choice import WITHHELD
from k8gentai.agents.code.exceptions import contained_in_thread
from k8gentai.agents.contract.events import TurnEnd, Usage
from k8gentai.agents.contract.idempotency import enclosing_call, idempotency_key
from k8gentai.agents.contract.turn import Decision, StepLimitReached, ToolFailedError, ToolOutcome
from k8gentai.agents.resources.agent import Limits, ToolTerms
from k8gentai.agents.tools.admitted_arguments import Admission
from k8gentai.agents.tools.images import show_image
from k8gentai.agents.tools.own_result import FailedTry
from k8gentai.workers.attempt.approvals import Approvals
from k8gentai.workers.attempt.budget import Budget, BudgetExceededError
from k8gentai.workers.attempt.inside import Inside, Insides
from k8gentai.workers.attempt.journal_entries import ToolEntry
from k8gentai.workers.attempt.tool_guard import ToolGuard
from k8gentai.workers.queue.clock import Clock
from k8gentai.workers.queue.record import Answer, seen_digest
from k8gentai.workers.tools.boundary import Tools
from k8gentai.workers.tools.running_call import is_in_tool, running_call, scope


class Recorded:
    """A journal in memory."""

    is_full = False

    def __init__(self):
        self.entries = {}
        self.left = {}
        """The seconds after which calls were given up, by their keys."""
        self._made = Counter()

    def run_again(self):
        self._made.clear()

    def patience_key(self, key):
        self._made[key] += 1
        return f"{key} {self._made[key]}"

    def given_up(self, key):
        return self.left.get(key)

    def skip(self, call_id):
        """Nothing waits for it."""

    async def record_given_up(self, key, given_up, around=""):
        self.left[key] = given_up

    async def hold(self, key, given_up):
        await given_up.hold()
        del self.left[key]

    def tool(self, call_id):
        return self.entries.get(call_id)

    def tool_in_turn(self, call_id):
        return contextlib.nullcontext()

    async def record_tool(self, call_id, entry, around=""):
        self.entries[call_id] = entry.model_copy(deep=True)
        return True

    def is_done(self, call_id):
        return call_id in self.entries and self.entries[call_id].state == "done"

    def states(self):
        return {call_id: entry.state for call_id, entry in self.entries.items()}


class Person:
    """Is asked, and answers when told to."""

    def __init__(self):
        self.waiting = []
        self.approved = set()
        self.asked = asyncio.Event()
        self.answer = asyncio.get_running_loop().create_future()

    @property
    def over(self):
        return self.answer.cancelled()

    def decision(self, call_id, name, arguments):
        return None

    async def ask(self, call_id, name, arguments, waiting):
        if call_id in self.approved:
            return Decision(approve=True)
        self.waiting = waiting
        self.asked.set()
        return await asyncio.shield(self.answer)


@pytest.fixture
async def person():
    return Person()


@pytest.fixture
def journal():
    return Recorded()


def _ignore(call_id, event):
    """Take an event."""


@pytest.fixture
async def tools(person, journal):
    policies = {"hasty": ToolTerms(name="hasty", timeout_seconds=0.05)}
    ends: list[TurnEnd] = []
    budget, guard = Budget(Limits(), ends.append), ToolGuard((), (), (), ends.append)
    return Tools("resp_1", policies, journal, _ignore, person, budget, math.inf, Clock(0), guard=guard)


async def begun(tools, person, name="outer"):
    """An agent as a tool, with a tool that asks."""

    async def ask():
        decision = await tools.ask("question", "input", "{}")
        return "yes" if decision.approve else "no"

    async def delegate():
        return (await tools.call("inner", name, {}, ask)).output

    calling = asyncio.create_task(tools.call("outer", name, {}, delegate))
    await person.asked.wait()
    return calling


@pytest.mark.parametrize("approval", [True, False])
async def test_no_tool_runs_where_the_request_allows_no_call(person, journal, approval):
    ends: list[TurnEnd] = []
    budget, guard = Budget(Limits(), ends.append), ToolGuard((), (), (), ends.append)
    parts = "resp_1", {}, journal, _ignore, person, budget, math.inf, Clock(0)
    ran = []

    async def pay():
        ran.append("pay")
        return "paid"

    # One of an earlier attempt was allowed.
    assert (await Tools(*parts, guard=guard).call("c1", "pay", {}, pay)).output == "paid"
    tools = Tools(*parts, guard=guard, withheld=True)
    assert (await tools.call("c1", "pay", {}, pay)).output == "paid"
    outcome = await tools.call("c2", "pay", {}, pay, approval=approval)
    assert (outcome.output, outcome.is_error, ran) == (WITHHELD, True, ["pay"])
    assert not person.asked.is_set()


async def test_code_knows_that_it_works_for_a_tool_call(tools):
    async def look():
        return str(is_in_tool())

    assert (await tools.call("outer", "look", {}, look)).output == "True"
    assert not is_in_tool()


@pytest.mark.parametrize(
    ("known", "expected"),
    [(None, "c1"), (ToolEntry(state="left", scoped=True), "c1"), (ToolEntry(state="left"), "")],
    ids=["new", "begun", "begun by an earlier version"],
)
async def test_calls_are_known_by_the_tool_call_inside_which_they_are_made(tools, journal, known, expected):
    async def look():
        # Calls that code makes are known by its key, and model calls by its id.
        assert enclosing_call() == (f"resp_1:{expected}" if expected else None)
        return scope()

    if known is not None:
        journal.entries["c1"] = known
    assert (await tools.call("c1", "look", {}, look)).output == expected
    assert journal.entries["c1"].scoped == bool(expected)
    assert scope() == ""


async def test_calls_that_wait_for_a_person_do_nothing(tools, person):
    calling = await begun(tools, person)
    assert person.waiting == ["outer", "inner"]
    assert not tools.busy
    person.answer.set_result(Decision(approve=True))
    assert (await calling).output == "yes"


@pytest.mark.parametrize("question", ["outer", "question"])
@pytest.mark.parametrize(("inner", "output"), [("pay", "a person did not approve this call"), ("look", "ran")])
async def test_what_runs_in_place_of_a_call_that_its_agent_had_approved_is_asked_about(
    tools, person, inner, output, question
):
    """The agent's own code asked about the call: no definition does."""

    async def run():
        return "ran"

    async def outer():
        await tools.ask(question, "pay", '{"amount": 1}')
        person.answer = asyncio.get_running_loop().create_future()
        person.answer.set_result(Decision(approve=False))
        return (await tools.call("changed", inner, {"amount": 9}, run)).output

    person.answer.set_result(Decision(approve=True))
    assert (await tools.call("outer", "pay", {"amount": 1}, outer)).output == output


async def test_what_a_tool_that_asks_a_person_itself_runs_then_is_not_asked_about(tools, person):
    """Its question is its own, and none about the call."""

    async def run():
        return "ran"

    async def outer():
        with Admission("outer", "pay", {}).take_run().at_work():
            await tools.ask("question", "input", "{}")
            person.answer = asyncio.get_running_loop().create_future()
            person.answer.set_result(Decision(approve=False))
            return (await tools.call("again", "pay", {"amount": 9}, run)).output

    person.answer.set_result(Decision(approve=True))
    assert (await tools.call("outer", "pay", {}, outer)).output == "ran"


async def test_calls_that_were_stopped_while_they_asked_begin_again(tools, person, journal):
    calling = await begun(tools, person)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert journal.states() == {"outer": "left", "inner": "left"}


@pytest.mark.parametrize(
    ("kept", "retry", "states", "ran"),
    [
        ("paid", "never", ["running", "left", "left", "running", "left", "done"], ["asked about paid"]),
        ("paid", "idempotent", ["running", "left", "left", "running", "left", "done"], ["asked about paid"]),
        (None, "never", ["running", "done", "done"], []),
    ],
)
async def test_a_tool_that_returned_before_its_call_asked_is_known_to_have(
    person, journal, kept, retry, states, ran
):
    """What was kept of its result is there when the call is made again; where it cannot be kept, it was begun."""
    written = []
    record = journal.record_tool

    async def record_tool(call_id, entry, around=""):
        written.append(entry.state)
        return await record(call_id, entry)

    journal.record_tool = record_tool
    again = []

    def boundary():
        budget, guard = Budget(Limits(), _ignore_end), ToolGuard((), (), (), _ignore_end)
        policies = {"pay": ToolTerms(name="pay", retry=retry)}
        return Tools("resp_1", policies, journal, _ignore, person, budget, math.inf, Clock(0), guard=guard)

    async def pay_and_ask():
        with Admission("c1", "pay", {}).take_run().at_work() as run:
            if (before := run.again()) is None:
                run.keep(kept)
            else:
                again.append(f"asked about {before}")
        await attempt.ask("question", "input", "{}")
        return "kept"

    attempt = boundary()
    calling = asyncio.create_task(attempt.call("c1", "pay", {}, pay_and_ask))
    await person.asked.wait()
    # A worker that dies now leaves this behind.
    assert journal.entries["c1"].returned == kept
    assert journal.entries["c1"].state == ("done" if kept is None else "left")
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    person.answer.set_result(Decision(approve=True))
    attempt = boundary()
    outcome = await attempt.call("c1", "pay", {}, pay_and_ask)
    assert (written, again) == (states, ran)
    assert ("cannot be kept" in outcome.output, outcome.is_error) == (kept is None, kept is None)


@pytest.mark.parametrize("retry", ["never", "idempotent"])
@pytest.mark.parametrize("approval", [False, True])
async def test_tries_that_failed_before_their_call_asked_are_not_made_again(person, journal, retry, approval):
    """What they raised is raised again, each in its turn; what comes after the answer runs."""
    ran, seen = [], []

    def boundary():
        budget, guard = Budget(Limits(), _ignore_end), ToolGuard((), (), (), _ignore_end)
        policies = {"pay": ToolTerms(name="pay", retry=retry)}
        return Tools("resp_1", policies, journal, _ignore, person, budget, math.inf, Clock(0), guard=guard)

    async def guarded():
        admission = Admission("c1", "pay", {})
        for _ in range(2):
            try:
                return await pay(admission)
            except ConnectionError as error:
                seen.append(str(error))
        await tools.ask("question", "input", "{}")
        return await pay(admission)

    async def pay(admission):
        async with admission.take_run().awaited() as run:
            if (kept := run.again()) is not None:
                return kept
            ran.append(len(ran) + 1)
            if len(ran) < 3:
                raise ConnectionResetError(f"try {ran[-1]}")
            run.keep("paid")
            return "paid"

    person.approved.add("c1")
    tools = boundary()
    calling = asyncio.create_task(tools.call("c1", "pay", {}, guarded, approval=approval))
    await person.asked.wait()
    # A worker that dies now leaves this behind.
    assert [each.was_raised for each in journal.entries["c1"].failed] == [True, True]
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    person.answer.set_result(Decision(approve=True))
    tools = boundary()
    outcome = await tools.call("c1", "pay", {}, guarded, approval=approval)
    assert (outcome.output, outcome.is_error) == ("paid", False)
    assert ran == [1, 2, 3]
    assert seen == ["try 1", "try 2"] * 2


@pytest.mark.parametrize(("state", "ran"), [("running", 0), ("left", 1)])
async def test_a_further_try_that_may_have_begun_is_not_begun_again_where_it_is_not_to_be(
    journal, person, state, ran
):
    """The worker died while it was at work, or code around it waits for a person before it."""
    failed = [FailedTry(text="", was_raised=False)]
    journal.entries["c1"] = ToolEntry(state=state, failed=failed)
    policies = {"pay": ToolTerms(name="pay", retry="never")}
    budget, guard = Budget(Limits(), _ignore_end), ToolGuard((), (), (), _ignore_end)
    tools = Tools("resp_1", policies, journal, _ignore, person, budget, math.inf, Clock(0), guard=guard)
    runs = []

    async def pay():
        runs.append(1)
        return "paid"

    outcome = await tools.call("c1", "pay", {}, pay)
    assert (len(runs), outcome.is_error) == (ran, not ran)


class Pay:
    """A tool under an adapter, and the attempts of the turn that calls it.

    Args:
        journal: the turn's.
        person: decides.
        retry: what the definition says of the tool.
        fails: how many of its runs fail.
    """

    def __init__(self, journal, person, retry, fails=0):
        self.journal = journal
        self.person = person
        self.policies = {"pay": ToolTerms(name="pay", retry=retry)}
        self.fails = fails
        self.ran = 0
        self.begun = asyncio.Event()
        self.begun_again = asyncio.Event()
        self.ended = asyncio.Event()
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.tools = None

    def call(self, around):
        """Make the call in a new attempt.

        Args:
            around: code around the tool; takes what runs it.
        """
        self.attempt()
        admission, made = Admission("c1", "pay", {}), []

        async def handler():
            if (run := admission.take_run()) is not None:
                return await self._run(run)
            own = Admission(f"c1-own{len(made)}", "pay", {})
            made.append(own)
            outcome = await self.tools.call(own.call_id, "pay", {}, lambda: self._run(own.take_run()))
            if outcome.is_error:
                raise ConnectionError(outcome.output)
            return outcome.output

        return asyncio.create_task(self.tools.call("c1", "pay", {}, lambda: asyncio.create_task(around(handler))))

    def attempt(self):
        """Begin a new attempt. Returns its tools."""
        self.journal.run_again()
        budget, guard = Budget(Limits(), _ignore_end), ToolGuard((), (), (), _ignore_end)
        parts = self.journal, _ignore, self.person, budget, math.inf, Clock(0)
        self.tools = Tools("resp_1", self.policies, *parts, guard=guard)
        return self.tools

    async def stop(self, calling):
        """Have the attempt end, as the turn waits for a person."""
        if not self.person.answer.cancel():
            self.person.answer = asyncio.get_running_loop().create_future()
            self.person.answer.cancel()
        calling.cancel()
        await asyncio.wait({calling})
        self.person.answer = asyncio.get_running_loop().create_future()
        self.person.asked.clear()

    async def _run(self, run):
        try:
            async with run.awaited():
                return await self._pay_unless_kept(run)
        finally:
            self.ended.set()

    async def run(self, admission, how):
        """Run the tool as the adapter of a framework does.

        Args:
            admission: the call.
            how: awaited, in a thread, or by hand: nothing waits for it but the code that runs it.
        """
        if how == "in a thread":
            return await self.run_in_thread(admission=admission)
        if how == "awaited":
            return await self._run(admission.take_run())
        with admission.take_run().at_work() as run:
            return await self._pay_unless_kept(run)

    async def run_in_thread(self, begins=None, admission=None):
        """Run the tool as adapters run one that keeps a thread for as long as it likes.

        Args:
            begins: waited for before the thread is free.
            admission: the call, where it is made already.
        """
        admission = admission or Admission("c1", "pay", {})

        async def work():
            if begins is not None:
                await begins.wait()
            with admission.take_run().at_work() as run:
                return await self._pay_unless_kept(run)

        async with admission.take_run().awaited_in_thread():
            return await asyncio.shield(asyncio.create_task(work()))

    async def _pay_unless_kept(self, run):
        if (kept := run.again()) is None:
            run.keep(kept := await self._pay())
        return kept

    async def _pay(self):
        self.ran += 1
        number = self.ran
        self.begun.set()
        if number == 2:
            self.begun_again.set()
        await asyncio.sleep(0)
        await self.may_end.wait()
        if number <= self.fails:
            raise ConnectionError(f"try {number}")
        return "paid"


class Stop(BaseException):
    """Stops an agent for a person, as LangGraph's interrupt does."""


@pytest.mark.parametrize("retry", ["never", "idempotent"])
@pytest.mark.parametrize("approve", [False, True])
@pytest.mark.parametrize("runs", [2, 3])
async def test_runs_that_failed_at_once_before_their_call_asked_are_none_of_its_further_tries(
    journal, person, retry, approve, runs
):
    """The first fails at once when it comes again: the others are calls of their own all the same."""
    pay = Pay(journal, person, retry, fails=runs)
    seen = []

    async def around(handler):
        seen.append([str(each) for each in await asyncio.gather(*tries(handler))])
        if (await pay.tools.ask("question", "input", "{}")).approve:
            return await handler()
        return "given up"

    def tries(handler):
        async def tried():
            try:
                return await handler()
            except ConnectionError as error:
                return error

        return [tried() for _ in range(runs)]

    calling = pay.call(around)
    await person.asked.wait()
    await pay.stop(calling)
    assert pay.ran == runs
    person.answer.set_result(Decision(approve=approve))
    assert (await pay.call(around)).output == ("paid" if approve else "given up")
    assert pay.ran == runs + approve
    assert seen[0] == seen[1]


@pytest.mark.parametrize("retry", ["never", "idempotent"])
@pytest.mark.parametrize("fails", [0, 1])
async def test_a_tool_that_is_asked_about_while_it_is_at_work_comes_to_its_end(journal, person, retry, fails):
    """The turn is not suspended before, and what the tool came to is there with the answer."""
    pay = Pay(journal, person, retry, fails=fails)
    pay.may_end.clear()

    async def around(handler):
        paying = asyncio.create_task(handler())
        await asyncio.sleep(0)
        await pay.tools.ask("question", "input", "{}")
        return await paying

    calling = pay.call(around)
    await person.asked.wait()
    await pay.begun.wait()
    assert pay.tools.busy
    pay.may_end.set()
    await pay.ended.wait()
    assert not pay.tools.busy
    await pay.stop(calling)
    person.answer.set_result(Decision(approve=True))
    outcome = await pay.call(around)
    assert (pay.ran, outcome.output) == (1, "ConnectionError: try 1" if fails else "paid")


@pytest.mark.parametrize("retry", ["never", "idempotent"])
async def test_a_tool_that_asks_when_its_call_has_stopped_for_a_person_is_not_waited_for(journal, person, retry):
    """The call stops by an exception while its tool is at work, and the tool's own question stands beside that."""

    class AskingPay(Pay):
        async def _pay(self):
            await super()._pay()
            return str((await self.tools.ask("own question", "input", "{}")).approve)

    pay = AskingPay(journal, person, retry)
    pay.may_end.clear()
    orphans, answered = [], []

    async def around(handler):
        orphans.append(asyncio.create_task(handler()))
        await pay.begun.wait()
        if not answered:
            raise Stop
        return await orphans[-1]

    calling = pay.call(around)
    await pay.begun.wait()
    pay.may_end.set()
    await person.asked.wait()
    with pytest.raises(Stop):
        await asyncio.wait_for(calling, 60)
    await pay.stop(calling)
    await asyncio.wait(orphans)
    answered.append(True)
    person.answer.set_result(Decision(approve=True))
    assert (await pay.call(around)).output == "True"


@pytest.mark.parametrize(("retry", "ran"), [("never", 2), ("idempotent", 3)])
async def test_a_run_behind_those_that_code_has_just_cancelled_is_a_further_try(journal, person, retry, ran):
    """Nothing has come of the cancelling by then."""
    pay = Pay(journal, person, retry)
    pay.may_end.clear()

    async def around(handler):
        paying = [asyncio.create_task(handler()) for _ in range(2)]
        await pay.begun_again.wait()
        for each in paying:
            each.cancel()
        pay.may_end.set()
        try:
            return await handler()
        finally:
            await asyncio.wait(paying)

    outcome = await pay.call(around)
    assert (pay.ran, outcome.is_error) == (ran, retry == "never")


async def test_a_run_in_a_thread_that_code_has_just_cancelled_is_one_of_these(journal, person):
    pay = Pay(journal, person, "never")
    pay.may_end.clear()

    async def around(_):
        paying = asyncio.create_task(pay.run_in_thread())
        await pay.begun.wait()
        paying.cancel()
        pay.may_end.set()
        try:
            return await pay.run_in_thread()
        finally:
            await asyncio.wait({paying})

    outcome = await pay.call(around)
    assert (pay.ran, outcome.is_error) == (1, True)


async def test_a_call_that_a_person_approved_asks_anew_for_a_run_behind_one_that_was_cancelled(journal, person):
    pay = Pay(journal, person, "idempotent")
    pay.policies["pay"] = ToolTerms(name="pay", approval="required")
    pay.may_end.clear()
    person.approved.add("c1")

    async def around(handler):
        paying = asyncio.create_task(handler())
        await pay.begun.wait()
        paying.cancel()
        return await handler()

    calling = pay.call(around)
    await person.asked.wait()
    assert pay.ran == 1
    await pay.stop(calling)


@pytest.mark.parametrize("retry", ["never", "idempotent"])
async def test_code_that_tidies_up_when_it_is_cancelled_may_run_the_tool(journal, person, retry):
    pay = Pay(journal, person, retry)

    async def around(handler):
        async def compensating():
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return await handler()

        tidying = asyncio.create_task(compensating())
        await asyncio.sleep(0)
        tidying.cancel()
        return await tidying

    assert ((await pay.call(around)).output, pay.ran) == ("paid", 1)


async def test_a_task_may_wait_for_a_tool_within_what_waits_for_it():
    admission, seen = Admission("c1", "pay", {}), []
    task = asyncio.current_task()
    run = admission.take_run()
    async with run.awaited_in_thread():
        async with admission.take_run().awaited() as within:
            assert within is run
            seen.append(run.is_being_given_up)
        task.cancel()
        seen.append(run.is_being_given_up)
        task.uncancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(0)
    assert [*seen, run.is_being_given_up] == [False, True, False]


@pytest.mark.parametrize("steps", [0, 1, 3])
async def test_a_run_behind_one_that_tidies_up_is_a_further_try(journal, person, steps):
    """Code around it has cancelled it, and does not wait for its end."""
    tidied = asyncio.Event()

    class Tidying(Pay):
        async def _pay(self):
            try:
                return await super()._pay()
            finally:
                await asyncio.gather(tidied.wait())

    pay = Tidying(journal, person, "never")
    pay.may_end.clear()

    async def around(handler):
        paying = asyncio.create_task(handler())
        await pay.begun.wait()
        paying.cancel()
        for _ in range(steps):
            await asyncio.sleep(0)
        pay.may_end.set()
        try:
            return await handler()
        finally:
            tidied.set()
            await asyncio.wait({paying})

    outcome = await pay.call(around)
    assert (pay.ran, outcome.is_error) == (1, True)


async def test_that_a_tool_is_given_up_is_recorded_though_its_task_is_cancelled_again(journal, person):
    """Code may do that at each turn of its loop, as anyio does. The turn is not suspended before."""
    pay = Pay(journal, person, "idempotent")
    pay.may_end.clear()
    recording, may_record = asyncio.Event(), asyncio.Event()
    record = journal.record_given_up

    async def slowly(*entry, **options):
        recording.set()
        await may_record.wait()
        await record(*entry, **options)

    journal.record_given_up = slowly

    async def around(_):
        paying = asyncio.create_task(pay.run_in_thread())
        await pay.begun.wait()
        paying.cancel()
        await recording.wait()
        paying.cancel()
        await asyncio.wait({paying})
        return str((await pay.tools.ask("question", "input", "{}")).approve)

    calling = pay.call(around)
    await person.asked.wait()
    assert pay.tools.busy
    may_record.set()
    while pay.tools.busy:  # noqa: ASYNC110 - the recording goes on by itself
        await asyncio.sleep(0)
    assert list(journal.left) == ["own tool c1 1"]
    await pay.stop(calling)


@pytest.mark.parametrize("retry", ["never", "idempotent"])
async def test_a_tool_that_is_given_up_before_a_thread_is_free_does_not_begin(journal, person, retry):
    pay, free = Pay(journal, person, retry), asyncio.Event()

    async def around(_):
        paying = asyncio.create_task(pay.run_in_thread(free))
        await asyncio.sleep(0)
        paying.cancel()
        await asyncio.wait({paying})
        free.set()
        return str((await pay.tools.ask("question", "input", "{}")).approve)

    calling = pay.call(around)
    await person.asked.wait()
    assert not pay.tools.busy
    await pay.stop(calling)
    person.answer.set_result(Decision(approve=True))
    assert ((await pay.call(around)).output, pay.ran) == ("True", 0)


async def test_a_tool_that_has_no_thread_yet_holds_up_a_question(journal, person):
    """Else it would begin in a turn that is suspended."""
    pay, free = Pay(journal, person, "never"), asyncio.Event()
    threads = []

    async def around(_):
        threads.append(asyncio.create_task(pay.run_in_thread(free)))
        await asyncio.sleep(0)
        await pay.tools.ask("question", "input", "{}")

    calling = pay.call(around)
    await person.asked.wait()
    assert pay.tools.busy
    free.set()
    await asyncio.wait(threads)
    assert not pay.tools.busy
    await pay.stop(calling)


async def test_what_a_given_up_tool_left_behind_may_ask_while_the_run_behind_it_is_at_work(journal, person):
    """The turn is not suspended before that has come to its end, and what that came to counts."""

    class Leaving(Pay):
        async def _pay(self):
            if self.ran:
                return await super()._pay()
            self.ran += 1
            orphans.append(asyncio.create_task(self.tools.ask("own question", "input", "{}")))
            return await asyncio.shield(orphans[0])

    pay, orphans = Leaving(journal, person, "idempotent"), []
    pay.may_end.clear()

    async def around(handler):
        first = asyncio.create_task(handler())
        await person.asked.wait()
        first.cancel()
        await asyncio.wait({first})
        orphans.append(asyncio.create_task(handler()))
        await pay.begun_again.wait()
        await pay.tools.ask("question", "input", "{}")
        return await orphans[1]

    calling = pay.call(around)
    await pay.begun_again.wait()
    for _ in range(9):
        await asyncio.sleep(0)
    assert pay.tools.busy
    pay.may_end.set()
    await asyncio.wait({orphans[1]})
    assert not pay.tools.busy
    await pay.stop(calling)
    assert journal.entries["c1"].returned == "paid"


async def test_a_tool_that_begins_while_its_call_asks_has_its_time(journal, person):
    pay = Pay(journal, person, "never")
    pay.policies["pay"] = ToolTerms(name="pay", retry="never", timeout_seconds=0.05)
    pay.may_end.clear()

    async def around(handler):
        asking = asyncio.create_task(pay.tools.ask("question", "input", "{}"))
        await person.asked.wait()
        try:
            return await handler()
        finally:
            asking.cancel()

    outcome = await asyncio.wait_for(pay.call(around), 60)
    assert outcome.output == "the tool did not answer within 0.05 s"


async def test_no_tool_begins_in_a_turn_that_is_suspended(journal, person):
    """Code that tidies up would run it, and nothing of it would be recorded."""
    pay = Pay(journal, person, "idempotent")

    async def around(handler):
        try:
            return str((await pay.tools.ask("question", "input", "{}")).approve)
        except asyncio.CancelledError:
            await handler()
            raise

    calling = pay.call(around)
    await person.asked.wait()
    await pay.stop(calling)
    assert pay.ran == 0


@pytest.mark.parametrize("is_late", [True, False])
async def test_that_a_call_is_stopped_is_no_giving_up_of_its_tool(journal, person, is_late):
    pay = Pay(journal, person, "idempotent")
    pay.policies["pay"] = ToolTerms(name="pay", timeout_seconds=0.05 if is_late else None)
    pay.may_end.clear()

    async def around(handler):
        return await asyncio.create_task(handler())

    calling = pay.call(around)
    await pay.begun.wait()
    if not is_late:
        calling.cancel()
    await asyncio.wait({calling})
    assert list(journal.left) == ([] if is_late else ["tool c1 1"])


async def test_a_call_that_is_made_again_begins_with_the_first_run_of_its_tool(journal, person):
    """That code around the tool gave up a run of a call which the agent gave up, too, is nothing to the next."""
    pay = Pay(journal, person, "idempotent")
    pay.may_end.clear()
    held, waits = [], asyncio.Event()

    async def guarded(handler):
        first = asyncio.create_task(handler())
        await pay.begun.wait()
        first.cancel()
        await asyncio.wait({first})
        waits.set()
        await asyncio.Event().wait()

    calling = pay.call(guarded)
    await waits.wait()
    calling.cancel()
    await asyncio.wait({calling})
    assert len(journal.left) == 2
    pay.may_end.set()

    async def held_once(key, given_up):
        held.append(key)
        raise asyncio.CancelledError

    journal.hold = held_once
    tools = pay.attempt()
    with pytest.raises(asyncio.CancelledError):
        await tools.call("c1", "pay", {}, lambda: guarded(None))
    run = lambda: pay._run(Admission("c1", "pay", {}).take_run())  # noqa: E731
    assert (await tools.call("c1", "pay", {}, run)).output == "paid"
    assert len(held) == 1


@pytest.mark.parametrize("stops", [True, False])
async def test_a_run_behind_one_that_was_given_up_is_waited_for(journal, person, stops):
    """It is at work when a person is asked, and what it comes to is there with the answer."""
    pay = Pay(journal, person, "idempotent")
    pay.may_end.clear()
    seen, orphans = [], []

    async def around(handler):
        first = asyncio.create_task(handler())
        for _ in range(9):
            await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait({first})
        orphans.append(asyncio.create_task(handler()))
        seen.append(pay.ran)
        if len(seen) == 1:
            await pay.begun_again.wait()
        if stops and len(seen) == 1:
            raise Stop
        if not stops:
            await pay.tools.ask("question", "input", "{}")
        return await orphans[-1]

    calling = pay.call(around)
    await pay.begun_again.wait()
    if not stops:
        await person.asked.wait()
    assert pay.tools.busy
    pay.may_end.set()
    if stops:
        with pytest.raises(Stop):
            await calling
    else:
        await asyncio.wait(orphans)
        assert not pay.tools.busy
        await pay.stop(calling)
        person.answer.set_result(Decision(approve=True))
    assert ((await pay.call(around)).output, pay.ran) == ("paid", 2)


async def test_a_turn_is_not_suspended_before_it_is_recorded_that_a_tool_was_given_up(journal, person):
    pay = Pay(journal, person, "never")
    pay.may_end.clear()
    recording, may_record = asyncio.Event(), asyncio.Event()
    record = journal.record_given_up

    async def slowly(*entry, **options):
        recording.set()
        await may_record.wait()
        await record(*entry, **options)

    journal.record_given_up = slowly
    orphans = []

    async def around(handler):
        orphans.append(asyncio.create_task(handler()))
        await pay.begun.wait()
        orphans[0].cancel()
        return str((await pay.tools.ask("question", "input", "{}")).approve)

    calling = pay.call(around)
    await person.asked.wait()
    await recording.wait()
    assert pay.tools.busy
    may_record.set()
    await asyncio.wait(orphans)
    assert not pay.tools.busy
    await pay.stop(calling)


@pytest.mark.parametrize("retry", ["never", "idempotent"])
@pytest.mark.parametrize("stops", [True, False])
async def test_a_tool_that_code_gave_up_holds_up_no_question(journal, person, retry, stops):
    """It may keep a thread for ever, and is not run again."""
    pay = Pay(journal, person, retry)
    pay.may_end.clear()
    seen = []

    async def around(_):
        paying = asyncio.create_task(pay.run_in_thread())
        await pay.begun.wait()
        for _ in range(9):
            await asyncio.sleep(0)
        paying.cancel()
        await asyncio.wait({paying})
        seen.append(paying.cancelled())
        if stops and len(seen) == 1:
            raise Stop
        return "went on" if stops else str((await pay.tools.ask("question", "input", "{}")).approve)

    calling = pay.call(around)
    if stops:
        with pytest.raises(Stop):
            await asyncio.wait_for(calling, 60)
    else:
        await person.asked.wait()
        assert not pay.tools.busy
        await pay.stop(calling)
        person.answer.set_result(Decision(approve=True))
    outcome = await pay.call(around)
    assert (outcome.output, pay.ran) == ("went on" if stops else "True", 1)
    assert seen == [True, True]


async def test_the_time_of_a_tool_that_is_asked_about_while_it_is_at_work_goes_on(journal, person):
    pay = Pay(journal, person, "never")
    pay.policies["pay"] = ToolTerms(name="pay", retry="never", timeout_seconds=0.05)
    pay.may_end.clear()

    async def around(handler):
        paying = asyncio.create_task(handler())
        await pay.begun.wait()
        await pay.tools.ask("question", "input", "{}")
        return await paying

    outcome = await pay.call(around)
    assert outcome.output == "the tool did not answer within 0.05 s"


@pytest.mark.parametrize("retry", ["never", "idempotent"])
@pytest.mark.parametrize("has_begun", [True, False])
async def test_a_call_that_stops_for_a_person_by_an_exception_waits_for_its_tool(
    journal, person, retry, has_begun
):
    """One that was not begun by then is not begun any more, but with the answer."""
    pay = Pay(journal, person, retry)
    pay.may_end.clear()
    answered, orphans, may_begin = [], [], asyncio.Event()
    if has_begun:
        may_begin.set()

    async def around(handler):
        async def begin():
            await may_begin.wait()
            return await handler()

        paying = asyncio.create_task(begin())
        orphans.append(paying)
        if has_begun:
            await pay.begun.wait()
        if not answered:
            raise Stop
        return await paying

    calling = pay.call(around)
    if has_begun:
        await pay.begun.wait()
        for _ in range(9):
            await asyncio.sleep(0)
        assert pay.tools.busy
    pay.may_end.set()
    with pytest.raises(Stop):
        await calling
    may_begin.set()
    await asyncio.wait(orphans)
    assert pay.ran == has_begun
    answered.append(True)
    assert (await pay.call(around)).output == "paid"
    assert pay.ran == 1


@pytest.mark.parametrize(("retry", "ran"), [("never", 2), ("idempotent", 3)])
async def test_a_further_try_that_was_cut_off_is_not_begun_again_where_it_is_not_to_be(
    journal, person, retry, ran
):
    """Its worker handed the turn over while it was at work; code around it is told, and goes on."""
    pay = Pay(journal, person, retry, fails=1)

    async def around(handler):
        with contextlib.suppress(ConnectionError):
            return await handler()
        if is_first:
            pay.may_end.clear()
        return await handler()

    is_first = True
    calling = pay.call(around)
    await pay.begun_again.wait()
    await pay.stop(calling)
    is_first = False
    pay.may_end.set()
    outcome = await pay.call(around)
    assert pay.ran == ran
    assert (outcome.output if retry == "idempotent" else "not known" in outcome.output) in ("paid", True)


@pytest.mark.parametrize("tries", [2, 3])
async def test_no_try_is_made_behind_one_of_which_nothing_is_known(journal, person, tries):
    """Code around the tool tries it as often as it may, where one was cut off in an earlier attempt."""
    pay = Pay(journal, person, "never", fails=1)
    seen = []

    async def around(handler):
        with contextlib.suppress(ConnectionError):
            return await handler()
        if is_first:
            pay.may_end.clear()
            second = asyncio.create_task(handler())
            await pay.begun_again.wait()
            second.cancel()
            await asyncio.wait({second})
            await pay.tools.ask("question", "input", "{}")
        for _ in range(tries):
            try:
                return await handler()
            except (ConnectionError, ToolFailedError) as error:
                seen.append(str(error))
        return "never"

    is_first = True
    calling = pay.call(around)
    await person.asked.wait()
    await pay.stop(calling)
    is_first = False
    journal.left.clear()
    pay.may_end.set()
    assert (await pay.call(around)).output == "never"
    assert pay.ran == 2
    assert all("not known" in each for each in seen)
    assert len(seen) == tries


@pytest.mark.parametrize("is_begun", [True, False])
@pytest.mark.parametrize("then", ["awaited", "in a thread", "by hand"])
@pytest.mark.parametrize("first", ["awaited", "in a thread"])
async def test_no_try_is_made_behind_one_that_was_given_up(journal, person, first, then, is_begun):
    """However its framework runs the tool, in this attempt and in the next; nor where it had not begun."""
    pay = Pay(journal, person, "never")
    pay.may_end.clear()
    seen = []

    async def around(_):
        admission, is_first = Admission("c1", "pay", {}), not seen
        giving_up = asyncio.create_task(pay.run(admission, first))
        if is_begun and is_first:
            await pay.begun.wait()
        else:
            for _ in range(9 * is_begun):
                await asyncio.sleep(0)
        giving_up.cancel()
        await asyncio.wait({giving_up})
        pay.may_end.set()
        try:
            seen.append(await pay.run(admission, then))
        except ToolFailedError as error:
            seen.append(str(error))
        await pay.tools.ask("question", "input", "{}")
        return "went on"

    calling = pay.call(around)
    await person.asked.wait()
    await pay.stop(calling)
    person.answer.set_result(Decision(approve=True))
    assert (await pay.call(around)).output == "went on"
    assert pay.ran == 1
    assert all(("not known" in each) == is_begun for each in seen)


async def test_what_another_tool_in_place_of_the_calls_fails_with_is_nothing_of_the_calls(journal, person):
    pay, asked = Pay(journal, person, "never"), []

    async def around(handler):
        other = Admission("c1", "pay", {}).new_run(keeps=False)
        with contextlib.suppress(ConnectionError), other.at_work():
            raise ConnectionError("of the other")
        asked.append((await pay.tools.ask("question", "input", "{}")).approve)
        return await handler()

    calling = pay.call(around)
    await person.asked.wait()
    await pay.stop(calling)
    person.answer.set_result(Decision(approve=True))
    assert ((await pay.call(around)).output, pay.ran, asked) == ("paid", 1, [True])


@pytest.mark.parametrize("how", ["awaited", "by hand"])
@pytest.mark.parametrize("is_withdrawn", [True, False])
async def test_a_try_that_begins_while_its_call_asks_is_recorded_before_it_begins(
    journal, person, how, is_withdrawn
):
    """Else a worker that dies in it would leave behind that the call waits for a person."""
    pay = Pay(journal, person, "never", fails=1)

    async def around(_):
        admission = Admission("c1", "pay", {})
        with contextlib.suppress(ConnectionError):
            return await pay.run(admission, "awaited")
        pay.may_end.clear()
        asking = asyncio.create_task(pay.tools.ask("question", "input", "{}"))
        await person.asked.wait()
        if is_withdrawn:
            asking.cancel()
            await asyncio.wait({asking})
        assert journal.states() == {"c1": "left"}
        try:
            # In another thread than the boundary, as agents' code is.
            return await (asyncio.to_thread(by_hand, admission) if how == "by hand" else pay.run(admission, how))
        finally:
            asking.cancel()

    def by_hand(admission):
        with admission.take_run().at_work():
            seen.append(journal.states())
            return "paid"

    seen = []
    calling = pay.call(around)
    if how == "awaited":
        await pay.begun_again.wait()
        seen.append(journal.states())
        pay.may_end.set()
    assert (await calling).output == "paid"
    assert seen == [{"c1": "running"}]


@pytest.mark.parametrize("approval", [True, False])
@pytest.mark.parametrize("stops", ["returned", "given up"])
@pytest.mark.parametrize("retry", ["never", "idempotent"])
async def test_a_call_that_was_given_up_while_code_asked_about_its_tool_does_not_run_that_again(
    journal, person, retry, stops, approval
):
    """The agent makes it again in the same attempt; what a person approved is another call then."""
    pay = Pay(journal, person, retry)
    pay.policies["pay"] = ToolTerms(name="pay", retry=retry, approval="required" if approval else None)
    person.approved.add("c1")
    if stops == "given up":
        pay.may_end.clear()

    async def around(handler):
        if stops == "given up":
            paying = asyncio.create_task(handler())
            await pay.begun.wait()
            paying.cancel()
            await asyncio.wait({paying})
        else:
            await handler()
        return str((await pay.tools.ask("question", "input", "{}")).approve)

    calling = pay.call(around)
    await person.asked.wait()
    calling.cancel()
    await asyncio.wait({calling})
    person.asked.clear()
    pay.may_end.set()
    run = lambda: pay._run(Admission("c1", "pay", {}).take_run())  # noqa: E731
    again = asyncio.create_task(pay.tools.call("c1", "pay", {}, run))
    asked = asyncio.create_task(person.asked.wait())
    await asyncio.wait({again, asked}, return_when=asyncio.FIRST_COMPLETED)
    assert person.asked.is_set() == approval
    if not approval and stops == "returned":
        assert (await again).output == "paid"
    if retry == "never" or stops == "returned" or approval:
        assert pay.ran == 1
    for task in (again, asked):
        task.cancel()
    await asyncio.wait({again, asked})


async def test_runs_beside_one_of_which_nothing_is_known_are_none_of_its_further_tries(journal, person):
    """The first is over its time when code asks a person; the other was a call of its own, and is one again."""

    class Slow(Pay):
        async def _pay(self):
            await super()._pay()
            if self.ran == 2 and not returned:
                returned.append("paid")
                return "paid"
            await asyncio.Event().wait()
            return "never"

    returned = []
    pay = Slow(journal, person, "never")
    pay.may_end.clear()

    async def around(handler):
        runs = [asyncio.create_task(handler()) for _ in range(2)]
        if is_first:
            await pay.begun_again.wait()
            pay.may_end.set()
            await asyncio.wait({runs[1]})
            # Nothing is heard of it.
            runs[0].cancel()
            await asyncio.wait({runs[0]})
            journal.left.clear()
            await pay.tools.ask("question", "input", "{}")
        return str(await asyncio.gather(*runs, return_exceptions=True))

    is_first = True
    calling = pay.call(around)
    await person.asked.wait()
    await pay.stop(calling)
    journal.left.clear()
    is_first = False
    person.answer.set_result(Decision(approve=True))
    output = (await pay.call(around)).output
    assert ("not known" in output, "'paid'" in output, pay.ran) == (True, True, 2)


async def test_a_tool_that_is_over_its_time_when_its_call_stops_for_a_person_is_too_slow(journal, person):
    """The call has its end: it would run again with the answer."""
    pay = Pay(journal, person, "idempotent")
    pay.policies["pay"] = ToolTerms(name="pay", timeout_seconds=0.05)
    pay.may_end.clear()
    orphans = []

    async def around(handler):
        orphans.append(asyncio.create_task(handler()))
        await pay.begun.wait()
        raise Stop

    assert (await pay.call(around)).output == "the tool did not answer within 0.05 s"
    await asyncio.wait(orphans)
    assert orphans[0].cancelled()
    assert journal.states() == {"c1": "done"}


async def test_what_was_asked_inside_a_call_whose_worker_died_counts_as_come_to(journal, person):
    """Under `retry: never` the call is answered without the code that asked."""
    pay = Pay(journal, person, "never")
    journal.entries["c1"] = ToolEntry(state="running", inside=Inside())
    pay.attempt()
    assert not pay.tools.has_come_to("question")
    outcome = await pay.tools.call("c1", "pay", {}, pay._pay)
    assert ("not known" in outcome.output, pay.ran) == (True, 0)
    assert pay.tools.has_come_to("question")


async def test_questions_that_code_gives_up_give_a_tool_no_more_time(journal, person):
    pay = Pay(journal, person, "idempotent")
    pay.policies["pay"] = ToolTerms(name="pay", timeout_seconds=0.1)
    pay.may_end.clear()

    async def around(handler):
        paying = asyncio.create_task(handler())
        await pay.begun.wait()
        while not paying.done():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(pay.tools.ask("question", "input", "{}"), 0.02)
        return "never"

    assert (await asyncio.wait_for(pay.call(around), 60)).output == "the tool did not answer within 0.1 s"


async def test_what_came_behind_a_run_of_which_nothing_is_known_is_there_with_the_answer(journal, person):
    """The first returned an error that cannot be written; the agent's code tried once more."""
    pay, seen = Pay(journal, person, "never"), []

    async def around(_):
        admission = Admission("c1", "pay", {})
        with contextlib.suppress(ToolFailedError):
            async with admission.take_run().awaited() as run:
                if run.again() is None:
                    pay.ran += 1
                    run.keep_error(None)
        seen.append(await pay.run(admission, "awaited"))
        await pay.tools.ask("question", "input", "{}")
        return "went on"

    calling = pay.call(around)
    await person.asked.wait()
    await pay.stop(calling)
    person.answer.set_result(Decision(approve=True))
    assert ((await pay.call(around)).output, seen, pay.ran) == ("went on", ["paid"] * 2, 2)


async def test_a_tool_that_finds_no_thread_while_its_call_asks_has_its_time(journal, person):
    pay = Pay(journal, person, "never")
    pay.policies["pay"] = ToolTerms(name="pay", retry="never", timeout_seconds=0.05)

    async def around(_):
        asking = asyncio.create_task(pay.tools.ask("question", "input", "{}"))
        await person.asked.wait()
        try:
            return await pay.run_in_thread(begins=asyncio.Event())
        finally:
            asking.cancel()

    outcome = await asyncio.wait_for(pay.call(around), 60)
    assert (outcome.output, pay.ran) == ("the tool did not answer within 0.05 s", 0)


async def test_a_call_whose_question_is_answered_is_no_call_that_waits(journal, person):
    """Its worker may die while it runs the tool once more on the person's word."""
    pay = Pay(journal, person, "never", fails=1)

    async def around(handler):
        with contextlib.suppress(ConnectionError):
            await handler()
        await pay.tools.ask("question", "input", "{}")
        return await handler()

    calling = pay.call(around)
    await person.asked.wait()
    await pay.stop(calling)
    assert journal.states() == {"c1": "left"}
    person.decision = lambda call_id, *_: Decision(approve=True) if call_id == "question" else None
    person.answer.set_result(Decision(approve=True))
    pay.may_end.clear()
    calling = pay.call(around)
    await pay.begun_again.wait()
    assert journal.states() == {"c1": "running"}
    # It is killed: nothing of the attempt is heard any more.
    entries = {**journal.entries}
    await pay.stop(calling)
    journal.entries = entries
    pay.may_end.set()
    person.answer.set_result(Decision(approve=True))
    assert "not known" in (await pay.call(around)).output
    assert pay.ran == 2


async def test_an_error_that_cannot_be_kept_is_no_reason_to_run_the_tool_again_where_it_is_not_to_be(
    journal, person
):
    """It returned one, as tools of LangGraph do."""
    pay = Pay(journal, person, "never")

    async def around(handler):
        async with Admission("c1", "pay", {}).take_run().awaited() as run:
            if run.again() is None:
                pay.ran += 1
                run.keep_error(None)
        await pay.tools.ask("question", "input", "{}")
        return "kept"

    calling = pay.call(around)
    await person.asked.wait()
    await pay.stop(calling)
    person.answer.set_result(Decision(approve=True))
    assert "not known" in (await pay.call(around)).output
    assert pay.ran == 1


@pytest.mark.parametrize("fails", [0, 1])
async def test_a_tool_that_asks_a_person_itself_begins_again_with_the_answer(journal, person, fails):
    """It waits at its own question; that it failed before, it does again."""
    asked, ran = [], []

    async def around(handler):
        admission = Admission("c1", "pay", {})
        for _ in range(2):
            with contextlib.suppress(ConnectionError):
                async with admission.take_run().awaited() as run:
                    run.again()
                    ran.append(len(ran) + 1)
                    if len(ran) <= fails:
                        raise ConnectionError("no")
                    asked.append((await pay.tools.ask("question", "input", "{}")).approve)
                    run.keep("paid")
                    return "paid"
        return "never"

    pay = Pay(journal, person, "never")
    calling = pay.call(around)
    await person.asked.wait()
    await pay.stop(calling)
    person.answer.set_result(Decision(approve=True))
    assert (await pay.call(around)).output == "paid"
    assert (len(ran), asked) == (2 + fails, [True])


@pytest.mark.parametrize("dies", [False, True])
async def test_what_a_tool_showed_and_used_is_kept_with_what_it_returned(person, journal, dies):
    used = Usage(model="m", input_tokens=30, output_tokens=10)
    image = "data:image/png;base64,AAAA"

    async def draw_and_ask():
        with Admission("c1", "draw", {}).take_run().at_work() as run:
            if (text := run.again()) is None:
                running_call().usage.append(used)
                run.keep(text := f"a chart: {show_image(image)}")
        await attempt.ask("question", "input", "{}")
        return text

    def boundary():
        shown, told = {}, []
        budget, guard = Budget(Limits(), _ignore_end), ToolGuard((), (), (), _ignore_end)
        publish = lambda _, event: told.append(event)  # noqa: E731
        made = Tools("resp_1", {}, journal, publish, person, budget, math.inf, Clock(0), guard=guard, images=shown)
        return made, shown, told

    attempt, _, _ = boundary()
    calling = asyncio.create_task(attempt.call("c1", "draw", {}, draw_and_ask))
    await person.asked.wait()
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    person.answer.set_result(Decision(approve=True))
    record = journal.record_tool

    async def record_and_die(key, entry, around=""):
        await record(key, entry)
        raise asyncio.CancelledError

    if dies:
        attempt, _, _ = boundary()
        journal.record_tool = record_and_die
        with pytest.raises(asyncio.CancelledError):
            await attempt.call("c1", "draw", {}, draw_and_ask)
        assert journal.entries["c1"].state == "running"
        journal.record_tool = record
    attempt, shown, told = boundary()
    assert (await attempt.call("c1", "draw", {}, draw_and_ask)).output == "a chart: [image]"
    assert shown == {"c1": [image]}
    assert [event for event in told if isinstance(event, Usage)] == [used]


async def test_what_a_tool_returned_is_not_run_again_though_it_is_too_large_to_keep(tools, person, journal):
    record = journal.record_tool

    async def record_tool(call_id, entry, around=""):
        return entry.returned is None and await record(call_id, entry)

    async def return_and_ask():
        with Admission("c1", "pay", {}).take_run().at_work() as run:
            run.keep("a long text")
        await tools.ask("question", "input", "{}")

    journal.record_tool = record_tool
    calling = asyncio.create_task(tools.call("c1", "pay", {}, return_and_ask))
    await person.asked.wait()
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert (journal.entries["c1"].state, "too large" in journal.entries["c1"].output) == ("done", True)


def _ignore_end(end):
    """Take what the turn ends with."""


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            asyncio.CancelledError("by hand"),
            "CancelledError: by hand (this tool was stopped before its end: whether it took effect is not known)",
        ),
        (GeneratorExit(), "GeneratorExit"),
        (contained_in_thread(StopIteration(3)), "StopIteration: 3"),
    ],
)
async def test_what_a_tool_raises_that_is_no_ordinary_error_is_its_result(tools, error, words):
    async def run():
        raise error

    outcome = await tools.call("c", "tool", {}, run)
    assert (outcome.output, outcome.is_error) == (words, True)


async def test_calls_that_were_stopped_at_work_may_have_taken_effect(tools, person, journal):
    calling = await begun(tools, person)
    at_work = asyncio.Event()

    async def work():
        at_work.set()
        await asyncio.Event().wait()

    working = asyncio.create_task(tools.call("other", "other", {}, work))
    await at_work.wait()
    assert tools.busy
    for task in (calling, working):
        task.cancel()
    await asyncio.gather(calling, working, return_exceptions=True)
    assert journal.states()["other"] == "running"


async def test_what_a_tool_makes_of_a_turn_that_is_over_is_no_result(tools, person, journal):
    async def ask():
        try:
            await tools.ask("question", "input", "{}")
        except asyncio.CancelledError as error:
            raise RuntimeError("a node was cancelled") from error

    async def delegate():
        with Admission("outer", "outer", {}).take_run().at_work() as run:
            try:
                return (await tools.call("inner", "inner", {}, ask)).output
            except asyncio.CancelledError:
                # As AG2's sub-tasks do, whose errors are gathered.
                run.keep("the clerk did not answer")
                return "the clerk did not answer"

    calling = asyncio.create_task(tools.call("outer", "outer", {}, delegate))
    await person.asked.wait()
    person.answer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert journal.states() == {"outer": "left", "inner": "left"}
    assert journal.entries["outer"].returned is None


async def test_the_time_of_a_tool_stands_still_while_a_person_thinks(tools, person):
    calling = await begun(tools, person, "hasty")
    done, _ = await asyncio.wait({calling}, timeout=0.2)
    assert not done
    person.answer.set_result(Decision(approve=True))
    assert (await calling).output == "yes"


async def test_a_tool_that_has_its_answer_has_no_more_than_its_time(tools, person):
    person.answer.set_result(Decision(approve=True))

    async def ask_and_hang():
        await tools.ask("question", "input", "{}")
        await asyncio.Event().wait()

    assert "did not answer" in (await tools.call("call", "hasty", {}, ask_and_hang)).output


async def test_calls_beyond_those_the_request_allows_are_not_made(person, journal):
    published = []
    budget = Budget(Limits(), lambda end: None)
    ran = []

    async def run():
        ran.append(1)
        return "done"

    def boundary():
        return Tools(
            "resp_1",
            {},
            journal,
            lambda _, event: published.append(event),
            person,
            budget,
            math.inf,
            Clock(0),
            most=1,
            guard=ToolGuard((), (), (), lambda end: None),
        )

    tools = boundary()
    outcomes = [await tools.call(call_id, "note", {}, run) for call_id in ("c1", "c2")]
    assert [outcome.is_error for outcome in outcomes] == [False, True]
    assert "limit (1)" in outcomes[1].output
    assert len(ran) == 1
    assert [event.output for event in published if event.type == "tool.result"] == [o.output for o in outcomes]
    # The turn run again, whose calls come in another order.
    again = boundary()
    assert (await again.call("c1", "note", {}, run)).output == "done"
    assert (await again.call("c2", "note", {}, run)).is_error


async def test_what_a_tool_leaves_behind_has_no_idempotency_key_once_the_attempt_is_over(tools):
    """A thread of a tool's own may work for another turn then, whose effects are others."""
    left = []

    async def leave_behind():
        left.append(contextvars.copy_context())
        return "left"

    await tools.call("call_1", "leave", {}, leave_behind)
    assert left[0].run(idempotency_key) == "resp_1:call_1"
    tools.close()
    assert left[0].run(idempotency_key) is None


def written_anew(person, journal, written):
    """The tools of an attempt whose model wrote these arguments."""
    policies = {"pay": ToolTerms(name="pay", approval="required", retry="never")}
    budget, guard = Budget(Limits(), lambda end: None), ToolGuard((), (), (), lambda end: None)
    return Tools(
        "resp_1", policies, journal, _ignore, person, budget, math.inf, Clock(0), written=written, guard=guard
    )


@pytest.mark.parametrize("state", ["running", "left", "done"])
async def test_other_arguments_under_the_id_of_a_recorded_call_are_another_call(person, journal, state):
    keys = []

    async def pay():
        keys.append(idempotency_key())
        return "paid 5000"

    journal.entries["c1"] = ToolEntry(state=state, output="paid 5", asked=seen_digest("pay", '{"amount": 5}'))
    tools = written_anew(person, journal, {"c1": '{"amount": 5000}'})
    calling = asyncio.create_task(tools.call("c1", "pay", {"amount": 5000}, pay))
    await person.asked.wait()
    person.answer.set_result(Decision(approve=True))
    assert (await calling).output == "paid 5000"
    assert keys != ["resp_1:c1"]
    assert journal.entries["c1"].output == "paid 5"
    again = written_anew(person, journal, {"c1": '{"amount":5000}'})
    assert (await again.call("c1", "pay", {"amount": 5000}, pay)).output == "paid 5000"
    assert len(keys) == 1


@pytest.mark.parametrize("asked", [None, seen_digest("pay", '{"amount": 5}')])
async def test_what_code_adds_to_the_arguments_of_a_call_makes_no_other_of_it(person, journal, asked):
    async def pay():
        raise AssertionError("it was paid before")

    journal.entries["c1"] = ToolEntry(state="done", output="paid 5", asked=asked)
    tools = written_anew(person, journal, {"c1": '{"amount": 5}'})
    assert (await tools.call("c1", "pay", {"amount": 5, "at": "another time"}, pay)).output == "paid 5"


async def test_calls_of_code_under_one_id_are_calls_of_their_own_in_any_order(person, journal):
    paid = []

    async def results(tools, *amounts):
        async def pay(amount):
            paid.append(amount)
            return f"paid {amount}"

        return [
            (await tools.call("abc123", "pay", {"amount": each}, lambda each=each: pay(each))).output
            for each in amounts
        ]

    person.answer.set_result(Decision(approve=True))
    assert await results(written_anew(person, journal, {}), 1, 2, 3) == ["paid 1", "paid 2", "paid 3"]
    assert await results(written_anew(person, journal, {}), 3, 1, 2) == ["paid 3", "paid 1", "paid 2"]
    assert paid == [1, 2, 3]


PAY_1 = seen_digest("pay", '{"amount": 1}')
PAY_5000 = seen_digest("pay", '{"amount": 5000}')
FIRST, SECOND = "c1", f"c1-{PAY_5000[:16]}"


class Attempt(Recorded):
    """An attempt of code that answers the model's call c1 with several payments.

    Its journal answers what stood when the attempt began, and a person approves all that is asked.
    """

    over = False

    def __init__(self, before=None, limits=None, retry="always"):
        super().__init__()
        self.before = dict(before or {})
        self.entries = dict(self.before)
        self.questions = []
        self.paid = []
        self.keys = []
        self.shown = {}
        policy = ToolTerms(name="pay", approval="required", retry=retry)
        self.tools = Tools(
            "resp_1",
            {"pay": policy, "refund": policy},
            self,
            self.publish,
            self,
            Budget(limits or Limits(), lambda end: None),
            math.inf,
            Clock(0),
            written={"c1": '{"amount": 1}'},
            guard=ToolGuard((), (), (), lambda end: None),
        )

    def tool(self, call_id):
        return self.before.get(call_id)

    def publish(self, call_id, event):
        if event.type == "tool.call":
            self.shown[call_id] = json.loads(event.arguments)

    def decision(self, call_id, name, arguments):
        return None

    async def ask(self, call_id, name, arguments, waiting):
        self.questions.append((call_id, name, json.loads(arguments)))
        return Decision(approve=True)

    async def pay(self, amount, name="pay", **added):
        async def run():
            self.paid.append(amount)
            self.keys.append(idempotency_key())
            return f"{name} {amount}"

        return (await self.tools.call("c1", name, {"amount": amount, **added}, run)).output


@pytest.mark.parametrize("approve", [True, False])
async def test_what_a_person_decided_holds_though_the_rule_is_gone_by_then(journal, approve):
    """Definitions change while a turn waits."""
    seen = seen_digest("pay", '{"amount": 7}')
    answers = {"c1": Answer(approve=approve, reason="no", request_id="r", seen=seen)}
    budget, guard = Budget(Limits(), _ignore_end), ToolGuard((), (), (), _ignore_end)
    approvals = Approvals(answers, _ignore, lambda: False)
    tools = Tools("resp_1", {}, journal, _ignore, approvals, budget, math.inf, Clock(0), guard=guard)
    paid = []

    async def pay():
        paid.append(7)
        return "paid"

    outcome = await tools.call("c1", "pay", {"amount": 7}, pay)
    assert (paid, outcome.is_error) == (([7], False) if approve else ([], True))


async def test_what_code_runs_again_with_other_arguments_is_another_call():
    attempt = Attempt()
    assert [await attempt.pay(amount) for amount in (1, 5000)] == ["pay 1", "pay 5000"]
    assert attempt.questions == [(FIRST, "pay", {"amount": 1}), (SECOND, "pay", {"amount": 5000})]
    assert attempt.shown == {FIRST: {"amount": 1}, SECOND: {"amount": 5000}}
    assert attempt.keys == [f"resp_1:{FIRST}", f"resp_1:{SECOND}"]
    assert {key: (entry.output, entry.ran) for key, entry in attempt.entries.items()} == {
        FIRST: ("pay 1", PAY_1),
        SECOND: ("pay 5000", PAY_5000),
    }


@pytest.mark.parametrize("amounts", [(1, 5000), (5000, 1)])
async def test_each_run_of_one_id_is_answered_by_its_own_record(amounts):
    first = Attempt()
    for amount in (1, 5000):
        await first.pay(amount)
    again = Attempt(first.entries)
    assert [await again.pay(amount) for amount in amounts] == [f"pay {amount}" for amount in amounts]
    assert (again.questions, again.paid) == ([], [])


@pytest.mark.parametrize("amounts", [(1, 5000), (5000, 1)])
@pytest.mark.parametrize("state", ["running", "left", "done"])
async def test_a_call_that_was_begun_lets_no_other_run_unasked_nor_takes_its_place(state, amounts):
    attempt = Attempt({"c1": ToolEntry(state=state, output="pay 1", asked=PAY_1, ran=PAY_1)})
    assert [await attempt.pay(amount) for amount in amounts] == [f"pay {amount}" for amount in amounts]
    assert attempt.questions == [(SECOND, "pay", {"amount": 5000})]
    assert sorted(attempt.paid) == ([5000] if state == "done" else [1, 5000])


@pytest.mark.parametrize("state", ["running", "left", "done"])
async def test_what_older_versions_recorded_answers_the_first_run(state):
    attempt = Attempt({"c1": ToolEntry(state=state, output="pay 1", asked=PAY_1)})
    assert [await attempt.pay(amount) for amount in (1, 5000)] == ["pay 1", "pay 5000"]
    assert attempt.questions == [(SECOND, "pay", {"amount": 5000})]


async def test_the_first_run_is_the_models_call_with_what_code_adds_to_it():
    first = Attempt()
    assert await first.pay(1, user="ann") == "pay 1"
    assert first.questions == [(FIRST, "pay", {"amount": 1, "user": "ann"})]
    again = Attempt(first.entries)
    assert [await again.pay(1, user="ann"), await again.pay(5000, user="ann")] == ["pay 1", "pay 5000"]
    assert [arguments for *_, arguments in again.questions] == [{"amount": 5000, "user": "ann"}]
    assert again.paid == [5000]


@pytest.mark.parametrize(
    ("state", "retry", "asked", "output"),
    [
        ("running", "always", True, "pay 1"),
        ("left", "always", True, "pay 1"),
        ("running", "never", False, "this tool was begun"),
        ("done", "always", False, "recorded"),
    ],
)
async def test_a_first_run_that_is_made_with_other_additions_is_asked_about_before_it_runs(
    state, retry, asked, output
):
    ran = seen_digest("pay", '{"amount": 1, "at": "noon"}')
    attempt = Attempt({"c1": ToolEntry(state=state, output="recorded", asked=PAY_1, ran=ran)}, retry=retry)
    assert (await attempt.pay(1, at="night")).startswith(output)
    assert attempt.questions == ([(FIRST, "pay", {"amount": 1, "at": "night"})] if asked else [])
    assert attempt.paid == ([1] if asked else [])


async def test_a_run_that_is_recorded_is_not_made_again_after_one_with_other_additions():
    ran = seen_digest("pay", '{"amount": 1, "at": "noon"}')
    attempt = Attempt({"c1": ToolEntry(state="done", output="recorded", asked=PAY_1, ran=ran)})
    assert [await attempt.pay(1, at="night"), await attempt.pay(1, at="noon")] == ["recorded"] * 2
    assert attempt.paid == []


async def test_another_tool_under_the_same_id_is_another_call():
    first = Attempt()
    assert [await first.pay(1), await first.pay(1, "refund")] == ["pay 1", "refund 1"]
    assert [name for _, name, _ in first.questions] == ["pay", "refund"]
    again = Attempt(first.entries)
    assert [await again.pay(1), await again.pay(1, "refund")] == ["pay 1", "refund 1"]
    assert (again.questions, again.paid) == ([], [])


async def test_each_run_of_one_id_counts_for_the_limit_of_tool_calls():
    attempt = Attempt(limits=Limits(tool_calls=3))
    for amount in (1, 1, 2):
        await attempt.pay(amount)
    with pytest.raises(BudgetExceededError):
        await attempt.pay(3)
    assert attempt.paid == [1, 1, 2]


async def test_the_same_run_once_more_is_another_call():
    first = Attempt()
    assert [await first.pay(1), await first.pay(1), await first.pay(1)] == ["pay 1"] * 3
    assert [call_id for call_id, *_ in first.questions] == [FIRST, f"{FIRST}~2", f"{FIRST}~3"]
    assert len(set(first.keys)) == 3
    again = Attempt(first.entries)
    assert [await again.pay(1), await again.pay(1)] == ["pay 1"] * 2
    assert (again.questions, again.paid) == ([], [])


async def test_two_runs_at_once_are_two_calls():
    attempt = Attempt()
    assert list(await asyncio.gather(attempt.pay(1), attempt.pay(1))) == ["pay 1"] * 2
    assert [call_id for call_id, *_ in attempt.questions] == [FIRST, f"{FIRST}~2"]
    assert len(set(attempt.keys)) == 2


async def test_a_run_that_stopped_is_the_same_call_when_it_begins_again(person, journal):
    tools = written_anew(person, journal, {"c1": '{"amount": 1}'})
    ran = []

    async def pay():
        ran.append(idempotency_key())
        return "paid"

    stopped = asyncio.create_task(tools.call("c1", "pay", {"amount": 1}, pay, approval=True))
    await person.asked.wait()
    stopped.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopped
    person.answer.set_result(Decision(approve=True))
    assert (await tools.call("c1", "pay", {"amount": 1}, pay, approval=True)).output == "paid"
    assert ran == ["resp_1:c1"]


@pytest.mark.parametrize("approval", [True, False])
async def test_a_failed_run_is_tried_again_as_the_same_call_unless_a_person_approved_it(person, approval):
    policies = {"pay": ToolTerms(name="pay")}
    budget, guard = Budget(Limits(), lambda end: None), ToolGuard((), (), (), lambda end: None)
    tools = Tools("resp_1", policies, Recorded(), _ignore, person, budget, math.inf, Clock(0), guard=guard)
    person.answer.set_result(Decision(approve=True))
    keys = []

    async def pay():
        keys.append(idempotency_key())
        if len(keys) == 1:
            raise OSError("the line is dead")
        return "paid"

    outputs = [(await tools.call("c1", "pay", {}, pay, approval=approval)).output for _ in range(2)]
    assert outputs == ["OSError: the line is dead", "paid"]
    assert keys == ["resp_1:c1", "resp_1:c1~2" if approval else "resp_1:c1"]


async def test_a_call_that_was_stopped_while_a_person_was_asked_waits_no_more(person, journal):
    async def pay():
        raise AssertionError("nobody approved it")

    tools = written_anew(person, journal, {"c1": "{}"})
    first, second = [asyncio.create_task(tools.call("c1", "pay", {"to": to}, pay)) for to in ("ann", "bob")]
    await person.asked.wait()
    for calling, waits in ((first, True), (second, False)):
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        assert tools.waits_for("c1") is waits


@pytest.mark.parametrize(
    ("written", "arguments", "nested", "claimed", "left"),
    [
        # Of the same arguments, wherever it stands.
        ({"c1": {"amount": 1}, "c2": {"amount": 2}}, {"amount": 2}, False, "c2", ["c1"]),
        ({"c1": {"amount": 1}, "c2": {"amount": 2}}, {"amount": 2}, True, "c2", ["c1"]),
        # The only one, or the only one that it can be.
        ({"c1": {"amount": 1}}, {"amount": 10}, False, "c1", []),
        ({"c1": {"amount": 1}, "c2": {"amount": 2}}, {"amount": 2, "by": "me"}, False, "c2", ["c1"]),
        # Any of them: a call of its own, beside which one less is left.
        ({"c1": {"amount": 1}, "c2": {"amount": 2}}, {"amount": 20}, False, None, ["c2"]),
        # What a tool runs in turn is not what the model called beside that tool.
        ({"c1": {"amount": 1}}, {"amount": 10}, True, None, ["c1"]),
        ({}, {"amount": 1}, False, None, []),
    ],
)
async def test_code_that_runs_a_tool_answers_a_call_of_the_model(
    person, written, arguments, nested, claimed, left
):
    budget, guard = Budget(Limits(), lambda end: None), ToolGuard((), (), (), lambda end: None)
    for call_id in written:
        guard.made(call_id, "pay", {"pay"}, forced=False)
    guard.made("c3", "pay", {"pay"}, forced=False)  # The model still writes it.
    as_written = {call_id: json.dumps(given) for call_id, given in written.items()}
    tools = Tools(
        "resp_1", {}, Recorded(), _ignore, person, budget, math.inf, Clock(0), written=as_written, guard=guard
    )
    assert tools.claim("pay", arguments, nested=nested) == claimed
    assert list(guard.due("pay", "")) == [*left, "c3"]
    assert tools.claim("other", arguments, nested=nested) is None


async def test_a_tool_answers_only_calls_that_a_model_made_for_it(person):
    budget, guard = Budget(Limits(), lambda end: None), ToolGuard((), (), (), lambda end: None)
    guard.made("c1", "pay", {"pay"}, forced=False)
    guard.made("c2", "pay", {"pay"}, forced=False, around="outer")
    written = dict.fromkeys(("c1", "c2"), '{"amount": 1}')
    tools = Tools(
        "resp_1", {}, Recorded(), _ignore, person, budget, math.inf, Clock(0), written=written, guard=guard
    )
    claimed = []

    async def claim():
        claimed.extend(tools.claim("pay", {"amount": 1}, nested=True) for _ in range(2))
        return "claimed"

    await tools.call("outer", "shop", {}, claim)
    assert claimed == ["c2", None], "c1 is for whoever asked the model beside the tool"
    assert tools.claim("pay", {"amount": 1}, nested=False) == "c1"


class Delegating:
    """Attempts at a turn whose tool ``outer`` calls a tool ``inner``, and a model."""

    def __init__(self, person, *, most=None, limits=None, retry="always"):
        self.journal = Recorded()
        self.person = person
        self.most = most
        self.limits = limits or Limits()
        self.retry = retry
        self.inner_runs = 0
        self.dies = False
        self.died = asyncio.Event()

    def attempt(self):
        self.kept = []
        self.budget = Budget(self.limits, lambda end: None)
        policy = ToolTerms(name="outer", retry=self.retry)
        self.tools = Tools(
            "resp_1",
            {"outer": policy},
            self.journal,
            _ignore,
            self.person,
            self.budget,
            math.inf,
            Clock(0),
            most=self.most,
            guard=ToolGuard((), (), (), lambda end: None),
            keep=lambda inside: self.kept.extend(inside.calls),
        )
        return self.tools

    async def noop(self):
        return "nothing"

    async def outer(self):
        async def inner():
            self.inner_runs += 1
            return "inner"

        async def run():
            around = scope()
            self.budget.model_call(around)
            self.budget.use(Usage(model="m", input_tokens=3, output_tokens=4), around)
            outcome = await self.tools.call("inner", "inner", {}, inner)
            if self.dies:
                self.died.set()
                await asyncio.Event().wait()
            return outcome.output

        return await self.tools.call("outer", "outer", {}, run)


async def test_what_was_done_inside_an_answered_call_stays_shown_and_counts(person):
    turn = Delegating(person, most=2, limits=Limits(steps=1, tokens=7))
    for _ in range(2):
        turn.attempt()
        assert (await turn.outer()).output == "inner"
        assert turn.tools.tokens_left() == 0
        with pytest.raises(StepLimitReached):
            turn.budget.model_call()
        skipped = await turn.tools.call("third", "inner", {}, turn.outer)
        assert "maximum tool calls limit (2)" in skipped.output
    assert turn.kept == ["inner"]
    assert turn.inner_runs == 1


async def test_tool_calls_inside_an_answered_call_count_for_the_definitions_limit(person):
    turn = Delegating(person, limits=Limits(tool_calls=2))
    for _ in range(2):
        turn.attempt()
        await turn.outer()
        with pytest.raises(BudgetExceededError):
            await turn.tools.call("third", "inner", {}, turn.outer)


async def test_what_was_done_inside_a_call_that_is_not_run_again_stays_shown(person):
    turn = Delegating(person, retry="never", limits=Limits(tool_calls=2))
    turn.attempt()
    turn.dies = True
    dying = asyncio.create_task(turn.outer())
    await turn.died.wait()
    dying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dying
    turn.attempt()
    assert "its definition says that it is not run again" in (await turn.outer()).output
    assert turn.kept == ["inner"]
    with pytest.raises(BudgetExceededError):
        await turn.tools.call("third", "inner", {}, turn.outer)


async def test_what_is_done_deeper_inside_counts_for_all_calls_around(person):
    turn = Delegating(person)
    tools = turn.attempt()
    await tools.call("top", "top", {}, lambda: turn.outer())
    inside = {call_id: entry.inside for call_id, entry in turn.journal.entries.items()}
    assert inside["top"].calls == ["outer", "inner"]
    assert (inside["top"].counted, inside["top"].model_calls, inside["top"].tokens) == (2, 1, 7)
    assert (inside["outer"].calls, inside["inner"].calls) == (["inner"], [])


async def test_a_tool_that_starts_work_starts_it_in_each_attempt_and_has_its_first_result(person, journal):
    came = []

    async def look():
        return "seen"

    async def start():
        async def work():
            came.append((await made.call("inner", "look", {}, look)).recorded)

        working.append(asyncio.create_task(work()))
        return f"started {len(working)}"

    working = []
    for attempt in range(2):
        budget, guard = Budget(Limits(), _ignore), ToolGuard((), (), (), _ignore)
        made = Tools("resp_1", {}, journal, _ignore, person, budget, math.inf, Clock(0), guard=guard)
        outcome = await made.call("outer", "start", {}, start, starts_work=True)
        await working[attempt]
        assert outcome == ToolOutcome("started 1")
        assert journal.entries["outer"].output == "started 1"
    # What it started finds what it did before.
    assert came == [False, True]


async def test_a_call_stays_done_though_what_its_tool_left_running_asks(person, journal):
    async def ask():
        return "yes" if (await tools.ask("question", "input", "{}")).approve else "no"

    async def start():
        working.append(asyncio.create_task(tools.call("inner", "pay", {}, ask)))
        return "started"

    working = []
    policies = {"start": ToolTerms(name="start", retry="never")}
    budget, guard = Budget(Limits(), _ignore), ToolGuard((), (), (), _ignore)
    tools = Tools("resp_1", policies, journal, _ignore, person, budget, math.inf, Clock(0), guard=guard)
    await tools.call("outer", "start", {}, start)
    await person.asked.wait()
    assert person.waiting == ["inner"]
    person.answer.set_result(Decision(approve=True))
    assert (await working[0]).output == "yes"
    assert journal.states() == {"outer": "done", "inner": "done"}


async def test_what_an_earlier_version_recorded_does_not_say_what_was_done_inside(person):
    turn = Delegating(person)
    turn.journal.entries["outer"] = ToolEntry(state="done", output="inner")
    turn.attempt()
    assert not turn.tools.has_come_to("question")
    assert (await turn.outer()).output == "inner"
    assert turn.tools.has_come_to("question"), "that cannot be told"


async def test_all_runs_of_a_call_that_an_earlier_version_began_are_in_one_place():
    attempt = Attempt({"c1": ToolEntry(state="done", output="pay 1", asked=PAY_1, ran=PAY_1)})
    assert [await attempt.pay(1), await attempt.pay(1)] == ["pay 1"] * 2
    assert (attempt.questions, attempt.paid) == ([], [])


async def test_code_that_begins_anew_comes_to_its_calls_again():
    """As a node of a graph does whose subgraph stopped."""
    attempt = Attempt(limits=Limits(tool_calls=2))
    assert [await attempt.pay(1), await attempt.pay(1)] == ["pay 1"] * 2
    attempt.tools.begin_anew()
    assert [await attempt.pay(1), await attempt.pay(1)] == ["pay 1"] * 2
    assert (attempt.paid, len(attempt.questions)) == ([1, 1], 2)
    with pytest.raises(BudgetExceededError):
        await attempt.pay(1)


async def test_a_failed_run_that_is_tried_again_keeps_what_was_done_inside_it(person):
    turn = Delegating(person)
    tools = turn.attempt()
    tries = []

    async def flaky():
        tries.append(await tools.call(f"i{len(tries)}", "inner", {}, turn.noop))
        if len(tries) == 1:
            raise OSError("once more")
        return "done"

    for _ in range(2):
        await tools.call("o", "flaky", {}, flaky)
    assert turn.journal.entries["o"].inside.calls == ["i0", "i1"]


async def test_what_a_tool_did_before_code_around_it_asked_counts_again(person):
    turn = Delegating(person, most=2)
    tools = turn.attempt()

    async def reviewed():
        with Admission("o", "reviewed", {}).take_run().at_work() as run:
            if (text := run.again()) is None:
                await tools.call("inner", "inner", {}, turn.noop)
                run.keep(text := "draft")
        await turn.tools.call("look", "look", {}, turn.noop)
        await turn.tools.ask("question", "input", "{}")
        return text

    asking = asyncio.create_task(tools.call("o", "reviewed", {}, reviewed))
    await person.asked.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    left = turn.journal.entries["o"]
    assert (left.state, left.inside.calls, left.inside.counted) == ("left", ["inner"], 1)
    tools = turn.attempt()
    person.answer.set_result(Decision(approve=True))
    await tools.call("o", "reviewed", {}, reviewed)
    assert turn.kept == ["inner"]
    assert "limit (2)" in (await tools.call("third", "inner", {}, turn.noop)).output
    assert turn.journal.entries["o"].inside.calls == ["inner", "look", "question"]


async def test_that_a_call_runs_is_not_written_over_its_end(person, monkeypatch):
    """A call that it left running begins another one while its own end is written."""
    turn = Delegating(person, retry="never")
    tools = turn.attempt()
    writing, go = asyncio.Event(), asyncio.Event()
    kept = turn.journal.record_tool

    async def slow(call_id, entry, around=""):
        if call_id == "outer" and entry.inside.calls:
            writing.set()
            await go.wait()
        return await kept(call_id, entry)

    monkeypatch.setattr(turn.journal, "record_tool", slow)
    left = []

    async def run():
        left.append(asyncio.create_task(tools.call("inner", "inner", {}, turn.noop)))
        await writing.wait()
        return "done"

    ending = asyncio.create_task(tools.call("outer", "outer", {}, run))
    await writing.wait()
    for _ in range(5):
        await asyncio.sleep(0)
    go.set()
    await asyncio.gather(ending, *left)
    assert turn.journal.entries["outer"].state == "done"


def test_what_a_call_left_running_counts_for_the_calls_around_it():
    insides, outer, inner = Insides(), Inside(), Inside()
    insides.open("outer", "", outer)
    insides.open("inner", "outer", inner)
    insides.close("inner")
    insides.add("inner", Inside(calls=["late"], counted=1))
    insides.close("outer")
    insides.add("inner", Inside(calls=["later"]))
    assert (outer.calls, outer.counted, inner.calls) == (["late"], 1, [])
