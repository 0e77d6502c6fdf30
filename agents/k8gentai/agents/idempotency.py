"""The idempotency key of the tool call that is running, for tools whose effects must happen once."""

from contextvars import ContextVar

current_key: ContextVar[str | None] = ContextVar("amf_idempotency_key", default=None)
"""Set while a tool runs. The same whenever that call is run again, after a crash or in another worker."""


def idempotency_key() -> str | None:
    """The key of the running tool call, to hand on to what the tool calls; None outside of a tool."""
    return current_key.get()
