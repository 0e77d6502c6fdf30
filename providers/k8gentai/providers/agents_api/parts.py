"""A turn of the classic API as it is shown, put together from its parts (:class:`ClassicPart`)."""

from datetime import UTC, datetime
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, Field

from k8gentai.workers.queue.origin import Origin
from k8gentai.workers.queue.record import AcceptedTurn

API: Final = "agents"
"""The front's name in the origin of its turns."""
_ONCE: Final = {"tool_calls", "tool_responses", "asked_at"}
"""The fields of a part that a turn which goes on with it does not have."""

PartStatus = Literal["running", "awaiting_input", "suspended", "completed", "failed"]


class ClassicPart(BaseModel):
    """The part that a turn is of one of the classic Agents API's turns, if it came through that API.

    Such a turn waits when it calls tools of the client; the one that brings their results is its next part. The
    session is the turn's conversation."""

    agent_id: str
    turn_id: str
    """The classic turn, named after its first part."""
    input_messages: list[dict[str, Any]] = Field(default_factory=list)
    """The messages that the classic turn began with, as its client sent them."""
    tool_calls: list[dict[str, Any]] = Field(default_factory=list)
    """The tool calls that the part before asked of the client."""
    tool_responses: list[dict[str, Any]] = Field(default_factory=list)
    """The client's results of those, as it sent them."""
    asked_at: float | None = None
    """The time at which the part before ended; Unix time in seconds."""

    @classmethod
    def of(cls, record: AcceptedTurn) -> Self | None:
        """Return what a turn is to this API; None where it came through another."""
        origin = record.origin
        return cls.model_validate({**origin.data, **origin.once}) if origin.api == API else None

    def origin(self) -> Origin:
        """Return the origin of the turn that is this part."""
        return Origin(api=API, data=self.model_dump(exclude=_ONCE), once=self.model_dump(include=_ONCE))


class Part(BaseModel):
    """The state of one part, in the shapes of llama-stack-client 0.3.5 (a tool call's arguments are JSON text)."""

    id: str
    """The response that it is."""
    turn_id: str
    session_id: str
    status: PartStatus
    """``awaiting_input``: the client is to run tools. ``suspended``: a person is to approve."""
    input_messages: list[dict[str, Any]]
    steps: list[dict[str, Any]]
    message: dict[str, Any]
    """The part's result: a ``CompletionMessage``."""
    error: dict[str, str] | None = None
    """``code`` and ``message``, where it failed or was cancelled."""
    started_at: float
    ended_at: float | None = None


def as_time(unix: float | None) -> str | None:
    """Unix seconds as the API writes times (ISO 8601, UTC)."""
    return None if unix is None else datetime.fromtimestamp(unix, UTC).isoformat()


def turn_of(parts: list[Part]) -> dict[str, Any]:
    """Return the API's ``Turn``.

    Args:
        parts: all of the turn's, in their order; at least one.
    """
    first, last = parts[0], parts[-1]
    # One that failed and was run again does not count.
    counted = [part for part in parts if part is last or part.status != "failed"]
    turn: dict[str, Any] = {
        "turn_id": first.turn_id,
        "session_id": first.session_id,
        "input_messages": first.input_messages,
        "steps": [step for part in counted for step in part.steps],
        "output_message": last.message,
        "output_attachments": [],
        "started_at": as_time(first.started_at),
        "completed_at": as_time(last.ended_at) if last.status in ("completed", "failed") else None,
    }
    if last.error:
        turn["error"] = last.error
    return turn
