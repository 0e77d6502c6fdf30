"""One attempt at a turn of AG2's agents, and how the code at hand knows what it works for."""

from collections.abc import Set as AbstractSet
from contextvars import ContextVar
from dataclasses import dataclass

from ag2 import Agent
from ag2 import ToolResult as AG2Result
from ag2.events import ToolCallEvent

from k8gentai.agents.adapters.ag2.context_changes import ContextChanges
from k8gentai.agents.adapters.base.run import AgentRun
from k8gentai.agents.contract.events import ToolCall, ToolResult
from k8gentai.agents.contract.turn import ToolOutcome, TurnContext

current_run: ContextVar["TurnRun | None"] = ContextVar("current_run", default=None)
"""The run that the code at hand belongs to."""

current_call: ContextVar[ToolCallEvent | None] = ContextVar("current_call", default=None)
"""The tool call that the code at hand works for, if for one."""

current_agent: ContextVar[Agent | None] = ContextVar("current_agent", default=None)
"""The agent that made that call."""


@dataclass
class MadeCall:
    """A call of a model's that came to the boundary."""

    call: ToolCall
    shown: ToolResult
    """The result that the turn's events show."""
    result: AG2Result
    """The boundary's last answer."""
    outcome: ToolResult
    """The boundary's last answer, as it would be shown."""


class TurnRun(AgentRun):
    """One attempt at a turn of AG2's agents.

    Args:
        context: the means that the harness lends.
        client_tools: the names of the tools that the client runs.
    """

    def __init__(self, context: TurnContext, client_tools: AbstractSet[str]) -> None:
        super().__init__(context)
        self.changes = ContextChanges(context.log)
        self.client_tools = client_tools
        self.client_calls: set[str] = set()
        """The ids of the calls that the client is to make."""
        self.made_calls: dict[str, MadeCall] = {}
        """The calls of the turn, by their ids."""

    def made(self, call_id: str, name: str, arguments: str, outcome: ToolOutcome, result: AG2Result) -> None:
        """Note that the boundary answered a call of a model's, be it again.

        Args:
            arguments: the arguments as they are shown.
            outcome: the outcome of the call.
            result: the outcome as AG2 has it.
        """
        call = ToolCall(call_id=call_id, name=name, arguments=arguments)
        told = ToolResult(call_id=call_id, output=outcome.output, is_error=outcome.is_error)
        known = self.made_calls.get(call_id)
        self.made_calls[call_id] = MadeCall(call, known.shown if known else told, result, told)
