"""How the adapter follows AG2's agents: a middleware that every agent gets when it is made. Outside of a turn it
does nothing."""

import re
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from ag2 import Agent, Context
from ag2.events import (
    BaseEvent,
    ModelMessageChunk,
    ModelReasoning,
    ModelResponse,
    TextInput,
    ToolCallEvent,
    ToolResultsEvent,
)
from ag2.middleware import BaseMiddleware

from k8gentai.agents.adapters.ag2.clients import closed_at_the_end
from k8gentai.agents.adapters.ag2.run import TurnRun, current_call, current_run
from k8gentai.agents.adapters.ag2.tools import call_tool, read_arguments
from k8gentai.agents.events import ToolCall, ToolResult, ToolSide

_SUBTASK = re.compile(r"^subtask-[0-9a-f]{8}$")
"""What AG2 names the agents that it makes for sub-tasks."""


class Instructions(BaseMiddleware):
    """Adds the request's instructions to the agent's own prompt."""

    instructions: Sequence[str] = ()

    @classmethod
    def of(cls, instructions: Sequence[str]) -> Callable[[BaseEvent, Context], "Instructions"]:
        """Return what makes it for a turn."""

        def make(event: BaseEvent, context: Context) -> Instructions:
            made = cls(event, context)
            made.instructions = instructions
            return made

        return make

    async def on_turn(self, call_next: Any, event: BaseEvent, context: Context) -> ModelResponse:
        """Begin a run: the agent's own prompt is known, and its model has not been called yet."""
        context.prompt.extend(self.instructions)
        return await call_next(event, context)


class Follower(BaseMiddleware):
    """Publishes the model calls of one agent's turn, and sends its tools through the boundary.

    Args:
        event: what the agent is to answer.
        context: the agent's.
        agent: the agent.
    """

    def __init__(self, event: BaseEvent, context: Context, *, agent: Agent) -> None:
        super().__init__(event, context)
        self._agent = agent

    async def on_llm_call(self, call_next: Any, events: Sequence[BaseEvent], context: Context) -> ModelResponse:
        """Make a model call of the agent's."""
        run = current_run.get()
        if run is None:
            return await call_next(events, context)
        with run.at_work():
            _answer_unknown(run, events)
            # A random part of a name would make the step another one when the turn is run again.
            name = _SUBTASK.sub("subtask", self._agent.name)
            step = run.begin(name or None, shown=current_call.get() is None)

            async def take(event: BaseEvent) -> None:
                if isinstance(event, ModelReasoning):
                    step.reasoning(event.content)
                else:
                    step.text(event.content)

            try:
                with context.stream.where(ModelMessageChunk | ModelReasoning).sub_scope(take):
                    async with closed_at_the_end():
                        response: ModelResponse = await call_next(events, context)
            except BaseException:
                run.broke_off(step)
                raise
            if step.silent:
                step.text(response.content or "")
            step.end([_tool_call(call, run.client_tools) for call in response.tool_calls.calls])
            return response

    async def on_tool_execution(self, call_next: Any, event: ToolCallEvent, context: Context) -> Any:
        """Make a tool call of the agent's."""
        run = current_run.get()
        if run is None or event.name in run.client_tools:
            return await call_next(event, context)
        with run.at_work():
            return await call_tool(run, self._agent, call_next, event, context)


def _tool_call(call: ToolCallEvent, client_tools: AbstractSet[str]) -> ToolCall:
    if read_arguments(call) is None:
        # AG2 reads them again for the next model call, and would end the turn.
        call.serialized_arguments = {}
    side: ToolSide = "client" if call.name in client_tools else "worker"
    return ToolCall(call_id=call.id, name=call.name, arguments=call.arguments, side=side)


def _answer_unknown(run: TurnRun, events: Sequence[BaseEvent]) -> None:
    """Publish the results of calls of tools that are not there: no middleware sees those."""
    for event in events:
        for result in event.results if isinstance(event, ToolResultsEvent) else ():
            if run.waits_for(result.parent_id):
                text = "".join(part.content for part in result.result.parts if isinstance(part, TextInput))
                run.publish(ToolResult(call_id=result.parent_id, output=text.strip(), is_error=True))
