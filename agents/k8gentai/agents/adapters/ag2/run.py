"""One attempt at a turn of AG2's agents, and how the code at hand knows what it works for."""

from collections.abc import Set as AbstractSet
from contextvars import ContextVar

from ag2 import Agent
from ag2.events import ToolCallEvent

from k8gentai.agents.running import AgentRun
from k8gentai.agents.turn import TurnContext

current_run: ContextVar["TurnRun | None"] = ContextVar("current_run", default=None)
"""The run that the code at hand belongs to."""

current_call: ContextVar[ToolCallEvent | None] = ContextVar("current_call", default=None)
"""The tool call that the code at hand works for, if for one."""

current_agent: ContextVar[Agent | None] = ContextVar("current_agent", default=None)
"""The agent that made that call."""


class TurnRun(AgentRun):
    """One attempt at a turn of AG2's agents.

    Args:
        context: what the harness lends.
        client_tools: the names of the tools that the client runs.
    """

    def __init__(self, context: TurnContext, client_tools: AbstractSet[str]) -> None:
        super().__init__(context)
        self.client_tools = client_tools
