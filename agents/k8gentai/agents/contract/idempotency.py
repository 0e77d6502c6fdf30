"""The idempotency key of the tool call that is running, for tools whose effects must happen once."""

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(eq=False)
class CallKey:
    """The idempotency key of one tool call."""

    key: str
    over: bool = False
    """Whether the attempt that made the call is over: a thread that it left behind may work for another turn."""
    is_scope: bool = True
    """Whether calls inside it are known by it: not where an earlier version began it."""


current_call_key: ContextVar[CallKey | None] = ContextVar("amf_idempotency_key", default=None)
"""Set while a tool runs. The key is the same whenever that call is made again, by any attempt in any worker."""


def enclosing_call() -> str | None:
    """Return what tells calls inside the running tool call from equal ones elsewhere, if anything does."""
    call = current_call_key.get()
    return call.key if call is not None and call.is_scope and not call.over else None


def idempotency_key() -> str | None:
    """Return the key of the running tool call, to hand on to what the tool calls; None outside of a tool."""
    call = current_call_key.get()
    return None if call is None or call.over else call.key
