"""The context that a factory is called with. A factory is an entrypoint that builds its agent anew for each
turn."""

from dataclasses import dataclass
from typing import Any

import structlog

from k8gentai.agents.contract.turn import DeclaredTool, ModelEndpoint, Turn, TurnContext


@dataclass(frozen=True)
class AgentContext:
    """One turn, as far as an agent's own code needs to know it."""

    model: ModelEndpoint
    """The address and name of the turn's model. Its key is this turn's own: do not keep it."""
    tools: list[dict[str, Any]]
    """The function tools sent with the request, as chat completions takes them. The client runs them: a call
    to one ends the turn."""
    conversation: str | None
    """The id of the conversation the turn belongs to, if it belongs to one."""
    parameters: dict[str, Any]
    """The request's other parameters under their Responses API names (``temperature``, …)."""
    log: structlog.stdlib.BoundLogger
    declared: tuple[DeclaredTool, ...] = ()
    """The tools that the definition brings."""


def agent_context(turn: Turn, context: TurnContext, tools: list[dict[str, Any]]) -> AgentContext:
    """Put together what a factory is given."""
    return AgentContext(
        model=context.model,
        tools=tools,
        conversation=turn.conversation,
        parameters=turn.parameters,
        log=context.log,
        declared=context.declared,
    )
