"""The attempt that the running code works for, in the loop of agents and in the threads that they start."""

import secrets
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass(eq=False)
class RunningAttempt:
    """One attempt, as its code is known by: small, because what it leaves behind keeps it for long."""

    turn_id: str
    key: str = field(default_factory=lambda: f"amf-{secrets.token_urlsafe(24)}")
    """The key by which model calls name the attempt."""
    over: bool = False
    """Whether it has ended: its code may act for it no more."""


current_attempt: ContextVar[RunningAttempt | None] = ContextVar("amf_attempt", default=None)
"""The attempt whose code is at hand. It may be over: tasks and threads that it left behind are still its own."""
