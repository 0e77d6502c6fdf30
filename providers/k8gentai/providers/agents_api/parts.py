"""A turn of the classic API as it is shown, put together from its parts
(:class:`k8gentai.workers.queue.record.ClassicPart`)."""

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel

PartStatus = Literal["running", "awaiting_input", "suspended", "completed", "failed"]


class Part(BaseModel):
    """How one part stands, in the shapes of llama-stack-client 0.3.5 (a tool call's arguments are JSON text)."""

    id: str
    """The response that it is."""
    turn_id: str
    session_id: str
    status: PartStatus
    """``awaiting_input``: the client is to run tools. ``suspended``: a person is to approve."""
    input_messages: list[dict[str, Any]]
    steps: list[dict[str, Any]]
    message: dict[str, Any]
    """What the part came to: a ``CompletionMessage``."""
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
