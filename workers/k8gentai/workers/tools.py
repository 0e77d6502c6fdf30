"""The tool boundary: every tool of a turn runs here, so that it runs once and what it did is told in order."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from k8gentai.agents.definition import Tool
from k8gentai.agents.events import Event, StepCompleted, StepStarted, ToolCall, ToolResult, tool_step
from k8gentai.agents.idempotency import current_key
from k8gentai.agents.turn import Decision, ToolOutcome
from k8gentai.workers.attempts import FencedError
from k8gentai.workers.budget import Budget
from k8gentai.workers.journal import Journal, ToolEntry

_INTERRUPTED = (
    "the worker died while this tool ran, and its definition says that it is not run again: "
    "whether it took effect is not known"
)

Asking = Callable[[str, str, str], Awaitable[Decision]]
"""Asks a person about a call: its id, the tool's name, the arguments as JSON text."""


class Tools:
    """The tools of one attempt (:class:`k8gentai.agents.turn.ToolBoundary`).

    Args:
        turn_id: the turn, which names its calls to the tools.
        policies: what the definition says of its tools, by name.
        journal: knows what earlier attempts ran.
        publish: takes a call's id and its events, the call itself first.
        ask: asks a person.
        budget: how many calls there may be.
    """

    def __init__(
        self,
        turn_id: str,
        policies: Mapping[str, Tool],
        journal: Journal,
        publish: Callable[[str, Event], None],
        ask: Asking,
        budget: Budget,
    ) -> None:
        self._turn_id = turn_id
        self._policies = policies
        self._journal = journal
        self._publish = publish
        self._ask = ask
        self._budget = budget
        self.running = 0
        """How many tools run now."""
        self._begun: set[str] = set()
        """Calls of this attempt. A framework makes one again whose tool stopped to ask a person."""

    async def ask(self, call_id: str, name: str, arguments: str) -> Decision:
        """Ask a person; see :class:`k8gentai.workers.approvals.Approvals`."""
        return await self._ask(call_id, name, arguments)

    async def call(
        self,
        call_id: str,
        name: str,
        arguments: dict[str, Any],
        run: Callable[[], Awaitable[str | ToolOutcome]],
        *,
        approval: bool = False,
    ) -> ToolOutcome:
        """Run a tool, unless an earlier attempt finished it, and return what the model is to see.

        An exception of the tool, a time-out and a person's denial are shown to the model.

        Raises:
            BudgetExceededError: it was one call too many; the turn ends.
        """
        again = call_id in self._begun
        if not again:
            self._begun.add(call_id)
            self._budget.tool_call()
        step_id = tool_step(call_id)
        arguments_json = json.dumps(arguments)
        policy = self._policies.get(name) or Tool(name=name)
        self._publish(call_id, ToolCall(call_id=call_id, name=name, arguments=arguments_json))
        try:
            known = self._journal.tool(call_id)
            denial = None
            if known is None and (approval or policy.approval == "required"):
                denial = _denial(await self._ask(call_id, name, arguments_json))
            if not again:
                self._publish(call_id, StepStarted(step_id=step_id, kind="tool", name=name))
            self.running += 1
            try:
                outcome = denial or await self._once(call_id, policy, known, run)
            finally:
                self.running -= 1
        except FencedError as error:
            # The turn is not ours any more. Frameworks show ordinary exceptions to the model; this one stops them.
            raise asyncio.CancelledError from error
        self._publish(call_id, ToolResult(call_id=call_id, output=outcome.output, is_error=outcome.is_error))
        self._publish(call_id, StepCompleted(step_id=step_id, kind="tool"))
        return outcome

    async def _once(
        self,
        call_id: str,
        policy: Tool,
        known: ToolEntry | None,
        run: Callable[[], Awaitable[str | ToolOutcome]],
    ) -> ToolOutcome:
        if known is not None and known.state == "done":
            return ToolOutcome(known.output, is_error=known.is_error, raw=known.raw)
        if known is not None and known.state == "running" and policy.retry == "never":
            outcome = ToolOutcome(_INTERRUPTED, is_error=True)
        else:
            await self._journal.record_tool(call_id, ToolEntry(state="running"))
            token = current_key.set(f"{self._turn_id}:{call_id}")
            try:
                outcome = await _guarded(policy, run)
            except asyncio.CancelledError:
                raise
            except BaseException:
                # The framework's own way to stop for a person.
                await self._journal.record_tool(call_id, ToolEntry(state="left"))
                raise
            finally:
                current_key.reset(token)
        await self._journal.record_tool(
            call_id,
            ToolEntry(state="done", output=outcome.output, is_error=outcome.is_error, raw=outcome.raw),
        )
        return outcome


def _denial(decision: Decision) -> ToolOutcome | None:
    """What the model sees of a call that was not approved."""
    if decision.approve:
        return None
    because = f": {decision.reason}" if decision.reason else ""
    return ToolOutcome(f"a person did not approve this call{because}", is_error=True)


async def _guarded(policy: Tool, run: Callable[[], Awaitable[str | ToolOutcome]]) -> ToolOutcome:
    try:
        async with asyncio.timeout(policy.timeout_seconds) as limit:
            result = await run()
    except Exception as error:  # noqa: BLE001 - whatever a tool raises is for the model to read
        if isinstance(error, TimeoutError) and limit.expired():
            return ToolOutcome(f"the tool did not answer within {policy.timeout_seconds:g} s", is_error=True)
        return ToolOutcome(f"{type(error).__name__}: {error}", is_error=True)
    return result if isinstance(result, ToolOutcome) else ToolOutcome(result)
