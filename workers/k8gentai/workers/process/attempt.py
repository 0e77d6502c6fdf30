"""Makes what one attempt at a turn lends its agent, and runs the agent with it."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing
from typing import Any, NamedTuple

import structlog

from k8gentai.agents.adapters.base.answer_text import is_json
from k8gentai.agents.adapters.base.parameters import passed_on, wants_json
from k8gentai.agents.adapters.base.tool_choice import tool_choice
from k8gentai.agents.contract.error_codes import INVALID_ANSWER
from k8gentai.agents.contract.events import (
    Event,
    TurnCompleted,
    TurnEnd,
    TurnFailed,
    TurnIncomplete,
    TurnSuspended,
)
from k8gentai.agents.contract.turn import (
    AnyAdapter,
    DeclaredTool,
    FoundTools,
    ModelEndpoint,
    Turn,
    TurnContext,
    TurnError,
)
from k8gentai.agents.resources.agent import Limits, ToolTerms
from k8gentai.workers.attempt.answer_format import format_fault
from k8gentai.workers.attempt.approvals import Approvals
from k8gentai.workers.attempt.budget import Budget
from k8gentai.workers.attempt.inside import Inside, keep_none
from k8gentai.workers.attempt.journal import Journal
from k8gentai.workers.attempt.sequencer import EventOrder
from k8gentai.workers.attempt.tool_guard import ToolGuard
from k8gentai.workers.gateway.model_calls import ModelCalls
from k8gentai.workers.isolation.agents_loop import AgentsLoop, in_loop
from k8gentai.workers.isolation.handoff import EventHandoff
from k8gentai.workers.isolation.watchdog import Blocked
from k8gentai.workers.process.failures import failure, over_time, stack_lost
from k8gentai.workers.queue.attempts import Started
from k8gentai.workers.queue.grants import bounded
from k8gentai.workers.queue.hand_backs import BrokeOffError
from k8gentai.workers.queue.record import decisions
from k8gentai.workers.stack.client import StackClient
from k8gentai.workers.stack.credentials import Caller, caller_of
from k8gentai.workers.stack.services import TurnServices
from k8gentai.workers.tools.agent_cache import ReadyAgent
from k8gentai.workers.tools.agents_boundary import AgentsBoundary
from k8gentai.workers.tools.boundary import Tools
from k8gentai.workers.tools.running_call import key_around

_CLOSING_SECONDS = 10.0
"""The seconds that a stopped agent may take to unwind: more than adapters give what they start themselves."""
_HUNG_SECONDS = 1.0
"""The seconds that it may take where its code lets nothing else run, so that it hears nothing."""

log = structlog.get_logger(__name__)


class Outlet(NamedTuple):
    """The places where an attempt's events go."""

    put: Callable[[Event], None]
    """Publishes an event, unless an earlier attempt has published it."""
    keep: Callable[[Inside], None] = keep_none
    """Keeps what earlier attempts published of what was done inside a call that this one does not come to."""


class Attempt:
    """All that one attempt lends its agent.

    Args:
        started: the attempt.
        ready: the agent, its adapter, and their worker.
        declared: the tools that its definition brings.
        stack: does for the turn what its agent asks of it beside models.
        journal: the turn's.
        outlet: takes the events.
        blocked: returns what holds up the agents' loop now.
        agents_loop: the loop that the agent's code runs in.
    """

    def __init__(
        self,
        started: Started,
        ready: ReadyAgent,
        declared: tuple[DeclaredTool, ...],
        stack: StackClient,
        journal: Journal,
        outlet: Outlet,
        blocked: Callable[[], Blocked | None],
        agents_loop: AgentsLoop,
    ) -> None:
        accepted, spec = started.accepted, ready.agent.definition.spec
        caller = caller_of(started)
        self._agent = ready.agent
        self._declared = declared
        self._number = started.lease.attempt
        self._agents_loop = agents_loop
        self._blocked = blocked
        self._clock = started.clock
        self._turn = accepted.replay.turn if accepted.replay else accepted.turn
        self._answers = accepted.replay.answers if accepted.replay else {}
        self._decided = decisions(accepted.turn.input)
        self._halted: asyncio.Future[TurnEnd] = asyncio.get_running_loop().create_future()
        self._services = TurnServices(stack, caller, journal, key_around)
        self._limits = _asked(bounded(spec.limits, accepted.parent, started.clock.now()), self._turn)
        self._budget = Budget(self._limits, self._halt)
        self._policies = _policies(spec.tools, declared)
        self._guard = _guard(self._turn, self._policies, ready.found, self._halt, spec.entrypoint)
        written: dict[str, str] = {}
        unreadable: dict[str, str] = {}
        self._order = EventOrder(
            outlet.put,
            outlet.keep,
            admits=self._budget.write,
            is_of_model=written.__contains__,
            is_silent=self._guard.is_silent,
            unreadable=unreadable,
        )
        # Code is asked for nothing there: a request that does is refused.
        choice = None if spec.entrypoint else tool_choice(self._turn, [tool.name for tool in declared])
        # Llama Stack's own loop sees to what is to be called, and shows tools that may not be.
        is_kept = choice is not None and (choice.withholds or spec.framework != "llama-stack")
        self._choice = choice if is_kept else None
        self.calls = self._model_calls(caller, journal, written, unreadable)
        self._approvals = Approvals(self._answers, self._order.from_tool, self._busy)
        self._tools = self._make_tools(journal, withheld=choice is not None and choice.withholds)
        self._boundary = AgentsBoundary(self._tools, agents_loop)
        self._handoff = EventHandoff(self._take)

    def _model_calls(
        self,
        caller: Caller,
        journal: Journal,
        written: dict[str, str],
        unreadable: dict[str, str],
    ) -> ModelCalls:
        spec = self._agent.definition.spec
        return ModelCalls(
            caller,
            spec.model.name,
            self._budget,
            self._order.from_gateway,
            self._order.answered,
            journal,
            origin=self._turn.id,
            guard=self._guard,
            # A declarative agent makes its calls with the others by itself.
            asked=self._turn.parameters if spec.entrypoint else passed_on(self._turn.parameters),
            choice=self._choice,
            written=written,
            unreadable=unreadable,
        )

    def _make_tools(self, journal: Journal, *, withheld: bool) -> Tools:
        # Llama Stack's own loop counts its calls by itself.
        counts = self._agent.definition.spec.framework == "llama-stack"
        return Tools(
            self._turn.id,
            self._policies,
            journal,
            self._order.from_tool,
            self._approvals,
            self._budget,
            self._clock.now() + self._limits.seconds,
            self._clock,
            self.calls.unreadable,
            None if counts else self._turn.parameters.get("max_tool_calls"),
            written=self.calls.written,
            guard=self._guard,
            images=self.calls.images,
            keep=self._order.keep,
            withheld=withheld,
        )

    async def run(self, adapter: AnyAdapter, endpoint: ModelEndpoint) -> TurnEnd:
        """Run the agent until it ends, its time is over, it is halted, or it waits for a person.

        Args:
            adapter: runs it.
            endpoint: the address of its model.

        Raises:
            BrokeOffError: the attempt has to be made again.
            RequestError: the request wants a tool called that is not there.
            Exception: what the agent raised.
        """
        if self._choice is not None:
            self._choice.check()
        context = self._context(endpoint)
        consuming = asyncio.create_task(in_loop(self._agents_loop.loop, self._consume(adapter, context)))
        quiet = asyncio.create_task(self._approvals.quiet())
        ways: set[asyncio.Future[Any]] = {consuming, quiet, self._halted, self.calls.lost}
        try:
            await asyncio.wait(ways, timeout=self._limits.seconds, return_when=asyncio.FIRST_COMPLETED)
            return self._outcome(consuming, quiet)
        finally:
            # What is blocked until it is told that the attempt is over cannot unwind.
            self.close()
            if await _stopped({consuming, quiet}, _HUNG_SECONDS if self._blocked() else _CLOSING_SECONDS):
                log.warning("agent_left_behind", turn=self.calls.turn_id)

    def _context(self, endpoint: ModelEndpoint) -> TurnContext:
        agent_log = structlog.stdlib.get_logger("k8gentai.agent")
        return TurnContext(
            attempt=self._number,
            model=endpoint,
            tools=self._boundary,
            max_steps=self._limits.steps,
            stack=self._services,
            log=agent_log.bind(turn=self.calls.turn_id, agent=self._turn.agent),
            declared=self._declared,
            leave_out=self._order.leave_out,
            publish=self._handoff.publish,
        )

    def _outcome(self, consuming: asyncio.Task[TurnEnd], quiet: asyncio.Task[None]) -> TurnEnd:
        """Return what the turn ends with, as one of the ways is done or none in time."""
        if self.calls.lost.done():
            seconds = self._limits.seconds
            raise BrokeOffError(stack_lost(self.calls.lost.result(), seconds), seconds=seconds)
        if self._halted.done():
            return self._halted.result()
        if consuming.cancelled():
            raise TurnError("the agent's own code cancelled it")
        if consuming.done():
            return consuming.result()
        if quiet.done():
            return TurnSuspended(expires_at=self._clock.now() + self._limits.approval_seconds)
        return self._over_time()

    def close(self) -> None:
        """Let go of the agent's code that waits for something, and take no more of its events."""
        self.calls.is_ending = True
        self._handoff.close()
        self._approvals.close()
        self._boundary.close()
        self._tools.close()

    async def _consume(self, adapter: AnyAdapter, context: TurnContext) -> TurnEnd:
        """Run the agent, in its loop."""
        end: TurnEnd = TurnCompleted()
        async with aclosing(adapter.run(self._agent, self._turn, context)) as events:  # type: ignore[type-var]
            async for event in events:
                if isinstance(event, TurnEnd):
                    end = event
                else:
                    self._handoff.publish(event)
        return end

    def _over_time(self) -> TurnEnd:
        """Return what the turn ends with whose time is over.

        Raises:
            BrokeOffError: it was not its own: code of another turn let nothing else run.
        """
        blocked = self._blocked()
        seconds = self._limits.seconds
        if blocked is None:
            return over_time(seconds, model=next(iter(self.calls.waited_for.values()), None))
        end = over_time(seconds, blocked.place)
        if blocked.attempt not in (None, self.calls.attempt):
            raise BrokeOffError(end, seconds=seconds)
        return end

    async def finished(self, end: TurnEnd) -> TurnEnd:
        """Publish what is still held of the agent's events, and return what the turn ends with.

        Args:
            end: the event that the agent came to.
        """
        # Frameworks may take an answer without a word for an error. Why it has none is known.
        is_wordless = isinstance(end, TurnFailed) and end.code == "agent_error" and self.calls.silent
        if self._order.cut_off and (isinstance(end, TurnCompleted) or is_wordless):
            end = TurnIncomplete(reason=self._order.cut_off)
        suspended = isinstance(end, TurnSuspended)
        self._order.finish(completed=isinstance(end, TurnCompleted), suspended=suspended)
        if isinstance(end, TurnCompleted):
            end = await self._judged(end)
        if isinstance(end, TurnCompleted | TurnSuspended):
            self._leave_answer(suspended=suspended)
        return end

    async def _judged(self, end: TurnEnd) -> TurnEnd:
        """Return what a turn ends with that ended well, but may have run a tool past the tool boundary, not have
        come to what a person approved, or been asked for JSON: its last message is the answer. All its events are
        in order by now.

        What a model makes of the format is its own affair, unless it says nothing at all or code of the agent's
        stands between.
        """
        if missed := self._missed() or self._left_undone():
            return missed
        text = self._order.last_text()
        if not self._owes_json() or text in self.calls.refusals:
            return end
        if not self._agent.definition.spec.entrypoint:
            if not self.calls.silent or is_json(text):
                return end
            text = ""
        # In a thread: long answers take a while, in which other turns go on.
        fault = await asyncio.to_thread(format_fault, text, self._turn.parameters["text"]["format"])
        return TurnFailed(code=INVALID_ANSWER, message=f"text.format: {fault}") if fault else end

    def _leave_answer(self, *, suspended: bool) -> None:
        """Drop what is no answer: where the turn is not at its answer yet, what the agent left behind, or, where
        the request asks for JSON, all words that are none; else, where it asks for that, what was published before
        the answer, if that is JSON.

        Args:
            suspended: it waits for a person.
        """
        is_early = suspended or self._order.handed_over
        if not wants_json(self._turn.parameters):
            if is_early:
                self._order.drop_left_out()
        elif is_early:
            self._order.drop_texts(lambda text: not is_json(text))
        elif is_json(self._order.last_text()):
            self._order.drop_all_but_last_text()

    def _owes_json(self) -> bool:
        return wants_json(self._turn.parameters) and not self._order.handed_over

    def _missed(self) -> TurnFailed | None:
        """Return what the turn ends with for a call that code of the agent's kept from the boundary."""
        if self._order.handed_over or not self._agent.definition.spec.entrypoint:
            return None
        return self._guard.missed()

    def _left_undone(self) -> TurnFailed | None:
        """Return what the turn ends with where a person agreed to something and the agent did not come to it."""
        for call_id, answer in self._answers.items():
            if answer.approve and answer.request_id in self._decided and not self._tools.has_come_to(call_id):
                message = (
                    f"a person approved '{answer.name or call_id}', and the agent did not come to it when it was "
                    "run again with that answer: its code, or what it asks its model, is not the same as before"
                )
                return TurnFailed(code="approved_call_missed", message=message)
        return None

    def _take(self, event: Event) -> None:
        try:
            self._order.from_adapter(event)
        except Exception as error:  # noqa: BLE001 - in a callback nobody else would have it
            self._halt(failure(error, self.calls))

    def _halt(self, end: TurnEnd) -> None:
        if not self._halted.done():
            self._halted.set_result(end)

    def _busy(self) -> bool:
        return not self._boundary.stalled and (self.calls.busy or self._tools.busy)


async def _stopped(tasks: set[asyncio.Task[Any]], seconds: float) -> set[asyncio.Task[Any]]:
    """Cancel tasks. Returns those that do not end within that time: agents' code may ignore it."""
    for task in tasks:
        task.cancel()
    done, left = await asyncio.wait(tasks, timeout=seconds)
    for task in done:
        if not task.cancelled():
            task.exception()
    return left


def _asked(limits: Limits, turn: Turn) -> Limits:
    """Return the limits of a turn whose request may allow fewer model calls."""
    most = turn.parameters.get("max_infer_iters")
    return limits.model_copy(update={"steps": min(limits.steps, most)}) if most else limits


def _policies(tools: Iterable[ToolTerms], declared: Iterable[DeclaredTool]) -> dict[str, ToolTerms]:
    """Return what the definition says of its tools, by name."""
    return {tool.name: tool for tool in tools} | {tool.name: tool.policy for tool in declared}


def _guard(
    turn: Turn,
    policies: Mapping[str, ToolTerms],
    found: FoundTools,
    halt: Callable[[TurnEnd], None],
    entrypoint: str | None,
) -> ToolGuard:
    elsewhere = {str(tool.get("name")) for tool in turn.tools if tool.get("type") == "function"}
    elsewhere |= {name for name, policy in policies.items() if policy.boundary == "none"}
    items = [*turn.history, *turn.input]
    earlier = {str(item[name]) for item in items for name in ("call_id", "id") if item.get(name)}
    asking = {name for name, policy in policies.items() if policy.approval == "required"}
    return ToolGuard(elsewhere, found.shapes, policies, halt, entrypoint or "", earlier, asking)
