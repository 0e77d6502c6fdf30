"""The checks: a file a capability. Importing this package has them all registered."""

from k8gentai.stack.conformance.capabilities import registered
from k8gentai.stack.conformance.checks import (
    approval,
    at_once,
    call_ids,
    cancel,
    client_tools,
    declared,
    history,
    images,
    instructions,
    limits,
    model_failure,
    model_streams,
    parallel_tools,
    replay,
    structured,
    text,
    tool_failure,
    tools,
    usage,
)

__all__ = [
    "CHECKS",
    "approval",
    "at_once",
    "call_ids",
    "cancel",
    "client_tools",
    "declared",
    "history",
    "images",
    "instructions",
    "limits",
    "model_failure",
    "model_streams",
    "parallel_tools",
    "replay",
    "structured",
    "text",
    "tool_failure",
    "tools",
    "usage",
]

CHECKS = registered()
"""All of them, in the order of the table."""
