"""The floor of agents: definitions, the registry, events, and the adapters that run each framework.

The names in ``__all__`` are those for the code of agents. They are imported when first asked for, because every
command of ``k8gentai`` imports this package.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from k8gentai.agents.contract.context import AgentContext
    from k8gentai.agents.contract.idempotency import idempotency_key
    from k8gentai.agents.contract.turn import ToolFailedError

__all__ = ["AgentContext", "ToolFailedError", "idempotency_key"]

_HOMES = {
    "AgentContext": "k8gentai.agents.contract.context",
    "ToolFailedError": "k8gentai.agents.contract.turn",
    "idempotency_key": "k8gentai.agents.contract.idempotency",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
