"""What Redis keeps of a turn beside its events."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from k8gentai.agents.turn import Turn

Status = Literal["queued", "running", "suspended", "completed", "incomplete", "failed", "cancelled"]

ENDED: frozenset[Status] = frozenset({"completed", "incomplete", "failed", "cancelled"})


class Owner(BaseModel):
    """Who a turn belongs to: the caller's principal and attributes as the host authenticated them."""

    principal: str
    attributes: dict[str, list[str]] | None = None


class AcceptedTurn(BaseModel):
    """The part of a turn's record that is written once, when the turn is accepted."""

    turn: Turn
    framework: str
    """Names the queue."""
    implicit: bool = False
    """The agent is a plain model name, run as :func:`k8gentai.agents.definition.implicit_agent`."""
    owner: Owner | None = None
    """None where the host runs without authentication."""
    request: dict[str, Any] = Field(default_factory=dict)
    """The request as it was validated, for echoing its parameters."""
    previous_response_id: str | None = None
    background: bool = False
    store: bool = True
    accepted_at: float
    """Unix time in seconds."""
    trace: dict[str, str] = Field(default_factory=dict)
    """The caller's trace context (W3C traceparent), as OpenTelemetry injected it."""


class TurnRecord(AcceptedTurn):
    """An accepted turn and how it stands."""

    status: Status
    attempt: int = 0
    crashes: int = 0
    """How often its worker died."""
    models_made: int = 0
    """Model calls that were answered, and are in the journal."""
    models_replayed: int = 0
    """Model calls that the journal answered in the last attempt that came to an end."""
    models_repeated: int = 0
    """Model calls that were made though the journal had their answer. To be 0."""
    tools_made: int = 0
    tools_replayed: int = 0
    tools_repeated: int = 0
    """The same of tool calls: those that came to their end."""
    last_seq: int = 0
    worker: str | None = None
    started_at: float | None = None
    ended_at: float | None = None
    settled: bool = False
