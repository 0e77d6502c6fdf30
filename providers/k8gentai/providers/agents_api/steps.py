"""The steps of a turn while they grow."""

from dataclasses import dataclass, field
from typing import Any

from k8gentai.providers.agents_api.parts import as_time

ToolCall = dict[str, Any]
"""A ``ToolCall``: ``call_id``, ``tool_name``, and ``arguments`` as JSON text."""


def completion(text: str, calls: list[ToolCall], stop_reason: str | None = None) -> dict[str, Any]:
    """Return a ``CompletionMessage``. What stops for tool calls is a message's end and not the turn's."""
    reason = stop_reason or ("end_of_message" if calls else "end_of_turn")
    return {"role": "assistant", "content": text, "stop_reason": reason, "tool_calls": calls}


def call_delta(status: str, call: str | ToolCall) -> dict[str, Any]:
    """Return a ``ToolCallDelta``: a piece of the arguments, or the whole call."""
    return {"type": "tool_call", "parse_status": status, "tool_call": call}


@dataclass
class Step:
    """The fields that every step has."""

    id: str
    turn_id: str
    started_at: float | None
    completed_at: float | None = None
    open: bool = True

    kind = ""

    def view(self) -> dict[str, Any]:
        """Return the step as it is now."""
        return {
            "step_id": self.id,
            "turn_id": self.turn_id,
            "step_type": self.kind,
            "started_at": as_time(self.started_at),
            "completed_at": as_time(self.completed_at),
        }

    @property
    def empty(self) -> bool:
        """Whether nothing of it counts any more."""
        return False


@dataclass
class InferenceStep(Step):
    """One model call."""

    texts: dict[str, str] = field(default_factory=dict)
    """The text of each message, by its id."""
    calls: dict[str, ToolCall] = field(default_factory=dict)
    dropped: bool = False
    """Whether something that it said was taken back."""

    kind = "inference"

    @property
    def text(self) -> str:
        return "".join(self.texts.values())

    @property
    def empty(self) -> bool:
        return self.dropped and not self.text and not self.calls

    def view(self) -> dict[str, Any]:
        return {**super().view(), "model_response": completion(self.text, list(self.calls.values()))}


@dataclass
class ToolStep(Step):
    """Tools that ran."""

    calls: list[ToolCall] = field(default_factory=list)
    responses: list[dict[str, Any]] = field(default_factory=list)
    dropped: bool = False

    kind = "tool_execution"

    @property
    def empty(self) -> bool:
        return self.dropped

    def view(self) -> dict[str, Any]:
        return {**super().view(), "tool_calls": self.calls, "tool_responses": self.responses}
