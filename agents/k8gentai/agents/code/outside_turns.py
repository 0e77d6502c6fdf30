"""Refuses tools of an agent that are called outside of any turn: nothing could approve, record or time them.

Code says which turn it belongs to by a context variable, and may put that aside: ``contextvars.Context().run(…)``,
``create_task(…, context=Context())``. What a module does while it is imported is its own affair.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from k8gentai.agents.resources.agent import AgentDefinition

_ruled: dict[str, frozenset[str]] = {}
"""The tools of whose calls a definition says how they run, by the ids of the agents that have had a turn here."""

_is_importing: ContextVar[bool] = ContextVar("is_importing", default=False)


class OutsideTurnError(RuntimeError):
    """A tool was called outside of any turn."""


def begin_turn(definition: AgentDefinition) -> None:
    """Note that the process has a turn of an agent: from here on its tools are for turns."""
    _ruled[definition.id] = frozenset(
        tool.name
        for tool in definition.spec.tools
        if tool.approval or tool.timeout_seconds or tool.retry != "idempotent"
    )


@contextmanager
def importing() -> Iterator[None]:
    """While inside, an agent's code is imported."""
    token = _is_importing.set(True)
    try:
        yield
    finally:
        _is_importing.reset(token)


def refuse_outside(name: str) -> None:
    """Refuse a call that belongs to no turn, if a definition says how such a tool runs.

    Args:
        name: the tool.

    Raises:
        OutsideTurnError: one does.
    """
    agent = next((agent for agent, tools in tuple(_ruled.items()) if name in tools), None)
    if agent is not None and not _is_importing.get():
        raise OutsideTurnError(
            f"the tool {name!r} was called outside of any turn, where what the definition of the agent {agent!r} "
            "says of it cannot be held: call it in the context of the turn's own code, "
            "contextvars.copy_context(), not contextvars.Context()"
        )
