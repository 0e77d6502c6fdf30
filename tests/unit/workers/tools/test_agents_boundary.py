"""Agents' code on a loop of its own, and its way to the tool boundary on the worker's."""

import asyncio
import multiprocessing
import threading
from contextvars import ContextVar
from functools import partial

import pytest

from k8gentai.agents.code.home_process import ForkedCallError
from k8gentai.agents.contract.turn import ToolOutcome
from k8gentai.agents.resources.agent import Limits, ToolTerms
from k8gentai.workers.attempt.approvals import Approvals
from k8gentai.workers.attempt.budget import Budget
from k8gentai.workers.attempt.tool_guard import ToolGuard
from k8gentai.workers.isolation.agent_threads import AgentThreads
from k8gentai.workers.isolation.agents_loop import AgentsLoop, in_loop
from k8gentai.workers.queue.clock import Clock
from k8gentai.workers.tools.agents_boundary import AgentsBoundary
from k8gentai.workers.tools.boundary import Tools
from tests.unit.workers.tools.test_tool_boundary import Recorded

FAR = 2e9
HERE: ContextVar[str] = ContextVar("here", default="nowhere")


@pytest.fixture
async def agents():
    made = AgentsLoop(AgentThreads(4, list))
    made.start()
    yield made
    await made.stop()


@pytest.fixture
def journal():
    return Recorded()


@pytest.fixture
def asked():
    return threading.Event()


@pytest.fixture
async def approvals(asked):
    return Approvals({}, lambda call_id, event: asked.set(), lambda: False)


@pytest.fixture
async def boundary(agents, journal, approvals):
    guard = ToolGuard((), (), (), lambda end: None)
    policies = {
        "hasty": ToolTerms(name="hasty", timeout_seconds=0.05),
        "careful": ToolTerms(name="careful", approval="required"),
    }
    budget = Budget(Limits(), lambda end: None)
    tools = Tools(
        "resp_1", policies, journal, lambda call_id, event: None, approvals, budget, FAR, Clock(0), guard=guard
    )
    return AgentsBoundary(tools, agents)


async def test_work_runs_in_the_agents_thread_with_the_context_of_here(agents):
    async def where():
        return HERE.get(), threading.current_thread().name, agents.is_current

    HERE.set("with me")
    assert await in_loop(agents.loop, where()) == ("with me", "agents", True)
    assert not agents.is_current


async def test_cancelling_stops_the_work_over_there(agents):
    begun, ended = threading.Event(), threading.Event()

    async def work():
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            ended.set()

    working = asyncio.create_task(in_loop(agents.loop, work()))
    await asyncio.to_thread(begun.wait)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert ended.is_set()


async def test_what_work_raises_is_raised_here_and_exits_end_nothing(agents):
    async def fail(error):
        raise error

    with pytest.raises(KeyError, match="lost"):
        await in_loop(agents.loop, fail(KeyError("lost")))
    with pytest.raises(Exception, match="SystemExit"):
        await in_loop(agents.loop, fail(SystemExit(3)))
    assert await in_loop(agents.loop, asyncio.sleep(0, "alive")) == "alive"


async def test_a_blocked_loop_has_its_tools_run_in_its_own_thread(agents, boundary, journal):
    async def node():
        # Blocks the loop of agents until the tool has run.
        outcome = boundary.wait("c1", "tool", {}, lambda: threading.current_thread().name)
        return outcome.output

    assert await in_loop(agents.loop, node()) == "agents"
    assert journal.states() == {"c1": "done"}


def in_a_fork(work):
    """Do something in a forked child. Returns what it raised, or came to."""
    processes = multiprocessing.get_context("fork")
    here, there = processes.Pipe()

    def run():
        try:
            there.send(work())
        except ForkedCallError as error:
            there.send(error)

    child = processes.Process(target=run)
    child.start()
    child.join()
    return here.recv()


@pytest.mark.parametrize(
    "call",
    [
        lambda boundary: boundary.wait("c1", "pay", {}, str),
        lambda boundary: asyncio.run(boundary.call("c1", "pay", {}, lambda: asyncio.sleep(0, "paid"))),
        lambda boundary: asyncio.run(boundary.ask("q1", "pay", "{}")),
        lambda boundary: boundary.decision("q1", "pay", "{}"),
    ],
)
async def test_a_call_in_a_forked_child_fails_at_once(boundary, journal, call):
    """Nothing there could record or approve it."""
    with pytest.raises(ForkedCallError, match="pay was called in a child process"):
        raise await asyncio.to_thread(in_a_fork, partial(call, boundary))
    assert journal.states() == {}


async def test_threads_that_a_blocked_loop_waits_for_have_their_tools(agents, boundary):
    outcomes = []

    def run_tool(number):
        outcomes.append(boundary.wait(f"c{number}", "tool", {}, str))

    async def node():
        threads = [threading.Thread(target=run_tool, args=(number,)) for number in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return len(outcomes)

    assert await in_loop(agents.loop, node()) == 40


async def test_a_blocking_tool_is_given_up_after_its_time(boundary):
    going_on = threading.Event()
    outcome = await asyncio.to_thread(boundary.wait, "c1", "hasty", {}, lambda: str(going_on.wait()))
    going_on.set()
    assert outcome == ToolOutcome("the tool did not answer within 0.05 s", is_error=True)


async def test_what_a_blocking_tool_raises_is_its_outcome(boundary):
    def fail():
        raise ValueError("no")

    outcome = await asyncio.to_thread(boundary.wait, "c1", "tool", {}, fail)
    assert outcome == ToolOutcome("ValueError: no", is_error=True)


@pytest.mark.parametrize("repeated", [False, True])
async def test_a_question_of_a_blocked_loop_stalls_all_else(agents, boundary, approvals, asked, repeated):
    if repeated:
        # Code that makes its calls by itself may give them one id.
        await asyncio.to_thread(boundary.wait, "c2", "tool", {}, str)
    at_work = threading.Event()

    async def other_branch():
        async def work():
            at_work.set()
            await asyncio.Event().wait()

        await boundary.call("c1", "tool", {}, work)

    async def node():
        boundary.wait("c2", "careful", {}, str)

    branch = asyncio.create_task(in_loop(agents.loop, other_branch()))
    await asyncio.to_thread(at_work.wait)
    asking = asyncio.create_task(in_loop(agents.loop, node()))
    await asyncio.to_thread(asked.wait)
    assert boundary.stalled
    approvals.close()
    boundary.close()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert not boundary.stalled
    branch.cancel()
    await asyncio.gather(branch, return_exceptions=True)


async def test_threads_that_wait_are_let_go_with_the_attempt(agents, boundary):
    at_work, going_on = threading.Event(), threading.Event()

    def tool():
        at_work.set()
        return str(going_on.wait())

    waiting = asyncio.create_task(asyncio.to_thread(boundary.wait, "c1", "hasty-not", {}, tool))
    await asyncio.to_thread(at_work.wait)
    boundary.close()
    going_on.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_nothing_runs_for_an_attempt_that_is_over(agents, boundary):
    boundary.close()
    ran = []

    async def tool():
        ran.append("awaited")
        return ""

    def blocking_tool():
        ran.append("waited")
        return ""

    with pytest.raises(asyncio.CancelledError):
        await boundary.call("c1", "tool", {}, tool)
    with pytest.raises(asyncio.CancelledError):
        await asyncio.to_thread(boundary.wait, "c2", "tool", {}, blocking_tool)
    assert ran == []


async def test_a_call_on_its_way_as_the_attempt_ends_runs_nothing(agents, boundary):
    ran = []
    outcomes = []

    def pay():
        ran.append("pay")
        return "paid"

    def act():
        try:
            outcomes.append(boundary.wait("call_1", "pay", {}, pay))
        except asyncio.CancelledError as error:
            outcomes.append(error)

    async def act_in_loop(begun):
        async def run():
            ran.append("pay")
            return "paid"

        begun.set()
        await boundary.call("call_2", "pay", {}, run)

    async def ask(begun):
        begun.set()
        await boundary.ask("call_3", "pay", "{}")

    thread = threading.Thread(target=act)
    thread.start()
    coming = []
    for work in (act_in_loop, ask):
        begun = threading.Event()
        coming.append(asyncio.run_coroutine_threadsafe(work(begun), agents.loop))
        begun.wait()
    # This loop has not run since: what the calls brought to it waits there.
    boundary.close()
    await asyncio.to_thread(thread.join)
    ends = await asyncio.gather(*map(asyncio.wrap_future, coming), return_exceptions=True)
    assert [type(end) for end in (*outcomes, *ends)] == [asyncio.CancelledError] * 3
    assert ran == []
