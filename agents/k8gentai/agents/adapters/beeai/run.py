"""One attempt at a turn of BeeAI's agents, and how the code at hand knows what it works for."""

from collections.abc import Set as AbstractSet
from contextvars import ContextVar
from datetime import datetime

from k8gentai.agents.adapters.base.run import AgentRun, ModelStep
from k8gentai.agents.contract.turn import Turn, TurnContext

current_run: ContextVar["TurnRun | None"] = ContextVar("current_run", default=None)
"""The run that the code at hand belongs to."""

current_call: ContextVar[str | None] = ContextVar("current_call", default=None)
"""The id of the tool call that the code at hand works for, if for one."""


class TurnRun(AgentRun):
    """One attempt at a turn of BeeAI's agents.

    Args:
        context: the means that the harness lends.
        turn: the turn.
        client_tools: the names of the tools that the client runs.
    """

    def __init__(self, context: TurnContext, turn: Turn, client_tools: AbstractSet[str]) -> None:
        super().__init__(context)
        self.asked_at: datetime = turn.asked_at
        self.client_tools = client_tools
        self.beside: dict[str, list[str]] = {}
        """The ids of all calls of a model's answer, by the id of each."""
        self.answers: dict[str, ModelStep] = {}
        """The model calls that brought an answer, by the ids of their calls of ``final_answer``."""
        self.answers_now = True
        """Whether words of agents may be the turn's answer from now on; those of an earlier step of a workflow may
        not, as it hands them on."""
        self.hands_over = False
        """Whether the client has a call of its own to make, once the worker has made those beside it."""
        self.compared: set[tuple[str, str, str]] = set()
        """The calls that were compared to find loops: the first id of an answer's calls, a tool's name and its
        arguments."""
