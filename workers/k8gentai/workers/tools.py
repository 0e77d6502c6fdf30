"""The tool boundary: every tool of a turn runs here, so that what it did is told once and in order."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from k8gentai.agents.events import Event, StepCompleted, StepStarted, ToolCall, ToolResult
from k8gentai.agents.turn import ToolOutcome


class Tools:
    """The tools of one attempt (:class:`k8gentai.agents.turn.ToolBoundary`).

    Args:
        publish: takes a call's id and its events, the call itself first.
    """

    def __init__(self, publish: Callable[[str, Event], None]) -> None:
        self._publish = publish

    async def call(
        self, call_id: str, name: str, arguments: dict[str, Any], run: Callable[[], Awaitable[str | ToolOutcome]]
    ) -> ToolOutcome:
        """Run a tool and return what the model is to see; an exception of the tool is shown to the model."""
        step_id = f"tool-{call_id}"
        self._publish(call_id, ToolCall(call_id=call_id, name=name, arguments=json.dumps(arguments)))
        self._publish(call_id, StepStarted(step_id=step_id, kind="tool", name=name))
        try:
            result = await run()
            outcome = result if isinstance(result, ToolOutcome) else ToolOutcome(result)
        except Exception as error:  # noqa: BLE001 - whatever a tool raises is for the model to read
            outcome = ToolOutcome(f"{type(error).__name__}: {error}", is_error=True)
        self._publish(call_id, ToolResult(call_id=call_id, output=outcome.output, is_error=outcome.is_error))
        self._publish(call_id, StepCompleted(step_id=step_id, kind="tool"))
        return outcome
