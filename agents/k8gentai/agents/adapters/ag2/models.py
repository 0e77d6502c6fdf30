"""Follows AG2's agents by a middleware, which every agent gets for a turn of ours."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from ag2 import Agent, Context
from ag2.events import (
    BaseEvent,
    ModelMessageChunk,
    ModelReasoning,
    ModelResponse,
    ToolCallEvent,
)
from ag2.middleware import BaseMiddleware

from k8gentai.agents.adapters.ag2.answers import Answers
from k8gentai.agents.adapters.ag2.http_clients import closed_at_the_end
from k8gentai.agents.adapters.ag2.run import TurnRun
from k8gentai.agents.adapters.ag2.tools import call_tool
from k8gentai.agents.adapters.base.inner_calls import making_calls

_SUBTASK = re.compile(r"^subtask-[0-9a-f]{8}$")
"""The names that AG2 has for agents that it makes for sub-tasks."""


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

    It is the innermost: what other middleware does to answers and calls, it does around it.

    Args:
        event: the event that the agent is to answer.
        context: the agent's.
        agent: the agent.
        run: the turn's.
        answers: the answers of the agent's turn.
    """

    def __init__(
        self, event: BaseEvent, context: Context, *, agent: Agent, run: TurnRun, answers: Answers
    ) -> None:
        super().__init__(event, context)
        self._agent = agent
        self._run = run
        self._answers = answers

    async def on_turn(self, call_next: Any, event: BaseEvent, context: Context) -> ModelResponse:
        """Have the agent take its turn, and hear those that work for it in the background when it has."""
        self._answers.go()
        response: ModelResponse = await call_next(event, context)
        while (heard := await self._answers.helpers.heard(self._answers.calls)) is not None:
            if response.tool_calls.calls:
                # The client is to make these before any model may be called.
                self._run.context.log.warning("helper_not_heard", agent=self._agent.name)
                break
            response = await call_next(heard, context)
        return response

    async def on_llm_call(self, call_next: Any, events: Sequence[BaseEvent], context: Context) -> ModelResponse:
        """Make a model call of the agent's."""
        with self._run.at_work():
            # A random part of a name would make the step another one when the turn is run again.
            step = self._answers.begin(_SUBTASK.sub("subtask", self._agent.name) or None)

            async def take(event: BaseEvent) -> None:
                if isinstance(event, ModelReasoning):
                    step.reasoning(event.content)
                else:
                    step.text(event.content)

            try:
                with context.stream.where(ModelMessageChunk | ModelReasoning).sub_scope(take):
                    async with closed_at_the_end():
                        with making_calls(inner=not self._answers.shown):
                            response: ModelResponse = await call_next(events, context)
            except BaseException:
                self._answers.broke_off(step)
                raise
            self._answers.take(step, response)
            return response

    async def on_tool_execution(self, call_next: Any, event: ToolCallEvent, context: Context) -> Any:
        """Make a tool call of the agent's."""
        if event.name in self._run.client_tools:
            return await call_next(event, context)
        with self._run.at_work():
            return await call_tool(self._run, self._agent, call_next, event, context)
