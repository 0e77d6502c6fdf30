"""The tool boundary: every tool of a turn runs here, so that it runs once and what it did is told in order."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from k8gentai.agents.definition import Tool
from k8gentai.agents.events import Event, StepCompleted, StepStarted, ToolCall, ToolResult
from k8gentai.agents.idempotency import current_key
from k8gentai.agents.turn import ToolOutcome
from k8gentai.workers.attempts import FencedError
from k8gentai.workers.journal import Journal, ToolEntry

_INTERRUPTED = (
    "the worker died while this tool ran, and its definition says that it is not run again: "
    "whether it took effect is not known"
)


class Tools:
    """The tools of one attempt (:class:`k8gentai.agents.turn.ToolBoundary`).

    Args:
        turn_id: the turn.
        policies: what the definition says of its tools, by name.
        journal: knows what earlier attempts ran.
        publish: takes a call's id and its events, the call itself first.
    """

    def __init__(
        self,
        turn_id: str,
        policies: Mapping[str, Tool],
        journal: Journal,
        publish: Callable[[str, Event], None],
    ) -> None:
        self._turn_id = turn_id
        self._policies = policies
        self._journal = journal
        self._publish = publish

    async def call(
        self, call_id: str, name: str, arguments: dict[str, Any], run: Callable[[], Awaitable[str | ToolOutcome]]
    ) -> ToolOutcome:
        """Run a tool, unless an earlier attempt finished it, and return what the model is to see.

        An exception of the tool, and a time-out, are shown to the model.
        """
        step_id = f"tool-{call_id}"
        self._publish(call_id, ToolCall(call_id=call_id, name=name, arguments=json.dumps(arguments)))
        self._publish(call_id, StepStarted(step_id=step_id, kind="tool", name=name))
        try:
            outcome = await self._once(call_id, self._policies.get(name) or Tool(name=name), run)
        except FencedError as error:
            # The turn is not ours any more. Frameworks show ordinary exceptions to the model; this one stops them.
            raise asyncio.CancelledError from error
        self._publish(call_id, ToolResult(call_id=call_id, output=outcome.output, is_error=outcome.is_error))
        self._publish(call_id, StepCompleted(step_id=step_id, kind="tool"))
        return outcome

    async def _once(
        self, call_id: str, policy: Tool, run: Callable[[], Awaitable[str | ToolOutcome]]
    ) -> ToolOutcome:
        known = self._journal.tool(call_id)
        if known is not None and known.state == "done":
            return ToolOutcome(known.output, is_error=known.is_error)
        if known is not None and policy.retry == "never":
            outcome = ToolOutcome(_INTERRUPTED, is_error=True)
        else:
            await self._journal.record_tool(call_id, ToolEntry(state="running"))
            token = current_key.set(f"{self._turn_id}:{call_id}")
            try:
                outcome = await _guarded(policy, run)
            finally:
                current_key.reset(token)
        await self._journal.record_tool(
            call_id, ToolEntry(state="done", output=outcome.output, is_error=outcome.is_error)
        )
        return outcome


async def _guarded(policy: Tool, run: Callable[[], Awaitable[str | ToolOutcome]]) -> ToolOutcome:
    try:
        async with asyncio.timeout(policy.timeout_seconds) as limit:
            result = await run()
    except Exception as error:  # noqa: BLE001 - whatever a tool raises is for the model to read
        if isinstance(error, TimeoutError) and limit.expired():
            return ToolOutcome(f"the tool did not answer within {policy.timeout_seconds:g} s", is_error=True)
        return ToolOutcome(f"{type(error).__name__}: {error}", is_error=True)
    return result if isinstance(result, ToolOutcome) else ToolOutcome(result)
