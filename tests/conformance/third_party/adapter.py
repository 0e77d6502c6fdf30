"""The adapter: model calls with the openai SDK, tools through the turn's boundary."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import openai

from k8gentai.agents.adapters.base.messages import to_messages
from k8gentai.agents.adapters.base.parameters import chat_parameters
from k8gentai.agents.code.entrypoint import is_factory
from k8gentai.agents.code.loading import load_object
from k8gentai.agents.code.reachable import handed_on
from k8gentai.agents.contract.context import AgentContext, agent_context
from k8gentai.agents.contract.events import (
    Event,
    MessageDone,
    ReasoningDelta,
    StepCompleted,
    StepStarted,
    TextDelta,
    ToolCall,
)
from k8gentai.agents.contract.turn import FoundTools, RequestError, StepLimitReached, Turn, TurnContext
from k8gentai.agents.resources.agent import AgentDefinition
from tests.conformance.third_party.loop import Agent


@dataclass(frozen=True)
class LoadedLoop:
    """A checked agent, or what makes one for a turn."""

    definition: AgentDefinition
    source: Agent | Callable[[AgentContext], Agent]


@dataclass
class _Answer:
    """One answer of the model in the making."""

    text: str = ""
    calls: dict[int, dict[str, str]] = field(default_factory=dict)

    def take(self, delta: Any) -> None:
        self.text += delta.content or ""
        for piece in delta.tool_calls or ():
            call = self.calls.setdefault(
                piece.index, {"id": piece.id, "name": piece.function.name, "arguments": ""}
            )
            call["arguments"] += piece.function.arguments or ""

    def message(self) -> dict[str, Any]:
        said: dict[str, Any] = {"role": "assistant", "content": self.text}
        if self.calls:
            said["tool_calls"] = [
                {
                    "id": call["id"],
                    "type": "function",
                    "function": {"name": call["name"], "arguments": call["arguments"]},
                }
                for call in self.calls.values()
            ]
        return said


class LoopAdapter:
    """Runs the agents of ``loop``."""

    framework = "loop"
    default_concurrency = 20

    def load(self, definition: AgentDefinition) -> LoadedLoop:
        """Import the entrypoint; a declarative agent is made for each turn."""
        if definition.spec.entrypoint is None:
            return LoadedLoop(definition, lambda context: _declared(definition, context))
        found = load_object(definition.spec.entrypoint)
        assert isinstance(found, Agent) or is_factory(found)
        return LoadedLoop(definition, found)

    def tools(self, agent: LoadedLoop) -> FoundTools:
        """Find the functions that the agent has, or that the code which makes one names."""
        if agent.definition.spec.entrypoint is None:
            return FoundTools(complete=True)
        if not isinstance(agent.source, Agent):
            return FoundTools(frozenset(handed_on(agent.source)))
        return FoundTools(frozenset(function.__name__ for function in agent.source.functions), complete=True)

    async def run(self, agent: LoadedLoop, turn: Turn, context: TurnContext) -> AsyncGenerator[Event]:
        """Ask the model and run what it calls, until it calls nothing."""
        if turn.tools:
            raise RequestError("tools: agents of loop have only their own")
        given = agent_context(turn, context, [])
        loop = agent.source if isinstance(agent.source, Agent) else agent.source(given)
        asked = [text for text in (loop.prompt, turn.instructions) if text]
        messages = to_messages([*turn.history, *turn.input], "\n".join(asked) or None)
        model = openai.AsyncOpenAI(base_url=context.model.base_url, api_key=context.model.api_key, max_retries=0)
        async with model:
            for step in range(1, context.max_steps + 1):
                answer = _Answer()
                async with aclosing(_ask(model, loop, messages, step, answer)) as events:
                    async for event in events:
                        yield event
                if not answer.calls:
                    return
                messages.append(answer.message())
                messages += await asyncio.gather(
                    *(self.call(loop, call, context) for call in answer.calls.values())
                )
        raise StepLimitReached(context.max_steps)

    async def call(self, loop: Agent, call: dict[str, str], context: TurnContext) -> dict[str, Any]:
        """Run one tool. Returns the message with its result."""
        try:
            arguments = json.loads(call["arguments"])
        except ValueError:
            arguments = None

        async def run() -> str:
            if arguments is None:
                raise ValueError(f"the arguments are not JSON: {call['arguments']}")
            return await use(loop, call["name"], arguments)

        outcome = await context.tools.call(call["id"], call["name"], arguments or {}, run)
        return {"role": "tool", "tool_call_id": call["id"], "content": outcome.output}


async def use(loop: Agent, name: str, arguments: dict[str, Any]) -> str:
    """Call the function of that name, in a thread as it may block."""
    functions = {function.__name__: function for function in loop.functions}
    if name not in functions:
        raise LookupError(f"there is no tool {name}")
    return str(await asyncio.to_thread(functions[name], **arguments))


async def _ask(
    model: openai.AsyncOpenAI, loop: Agent, messages: list[dict[str, Any]], step: int, answer: _Answer
) -> AsyncGenerator[Event]:
    yield StepStarted(step_id=f"s{step}", kind="inference")
    request: Any = {
        "model": loop.model,
        "messages": messages,
        "tools": loop.tools() or openai.omit,
        **loop.parameters,
    }
    async with await model.chat.completions.create(**request, stream=True) as stream:
        async for chunk in stream:
            if not chunk.choices:
                continue
            delta = chunk.choices[0].delta
            answer.take(delta)
            if reasoning := getattr(delta, "reasoning_content", None):
                yield ReasoningDelta(message_id=f"m{step}", delta=reasoning)
            if delta.content:
                yield TextDelta(message_id=f"m{step}", delta=delta.content)
    for call in answer.calls.values():
        yield ToolCall(call_id=call["id"], name=call["name"], arguments=call["arguments"])
    if answer.text:
        yield MessageDone(message_id=f"m{step}", text=answer.text)
    yield StepCompleted(step_id=f"s{step}", kind="inference")


def _declared(definition: AgentDefinition, context: AgentContext) -> Agent:
    parameters = chat_parameters(definition, context)
    return Agent(context.model.model or "", definition.spec.system_prompt, parameters=parameters)
