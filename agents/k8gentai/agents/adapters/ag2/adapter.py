"""AG2 1.x agents: an ``Agent``, a factory of one, a function that runs several, or none (declarative).

Existing code runs unchanged: the adapter knows of model calls and tools by a middleware that every agent gets for
its turn, and of the turn of ours they belong to by a context variable; so delegated sub-tasks and the members of a
network are followed wherever they run. All answers are streamed, whatever the model's configuration says.
The text of an agent that works for a tool call is that tool's result and is not shown; its steps are.
"""

import inspect
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any

from ag2 import Agent, MemoryStream
from ag2.agent import AgentReply
from ag2.tools.final import ClientTool
from pydantic import ValidationError

from k8gentai.agents.adapters.ag2.content import words_of
from k8gentai.agents.adapters.ag2.declarative import build_agent
from k8gentai.agents.adapters.ag2.found_tools import find_tools
from k8gentai.agents.adapters.ag2.hooks import follow_agents
from k8gentai.agents.adapters.ag2.messages import to_events
from k8gentai.agents.adapters.ag2.models import Instructions
from k8gentai.agents.adapters.ag2.run import TurnRun, current_run
from k8gentai.agents.adapters.base.files import with_files
from k8gentai.agents.adapters.base.messages import to_text
from k8gentai.agents.adapters.base.parameters import permitted_tools
from k8gentai.agents.adapters.base.request_parts import check_text_only
from k8gentai.agents.code.entrypoint import (
    Conversation,
    Factory,
    check_names_model,
    function_tools,
    is_conversation,
    is_factory,
)
from k8gentai.agents.code.loading import load_object
from k8gentai.agents.contract.context import AgentContext, agent_context
from k8gentai.agents.contract.events import Event
from k8gentai.agents.contract.turn import (
    Adapter,
    AgentLoadError,
    FoundTools,
    RequestError,
    RequestPart,
    Turn,
    TurnContext,
)
from k8gentai.agents.resources.agent import AgentDefinition

follow_agents()


@dataclass(frozen=True)
class AG2Agent:
    """A checked agent: a conversation, or an agent that every turn shares, or what builds one for a turn."""

    definition: AgentDefinition
    source: Agent | Factory | None = None
    conversation: Conversation | None = None
    found: object | None = None
    """The object that the entrypoint names; None where there is no entrypoint."""

    async def agent(self, context: AgentContext) -> Agent:
        """Return the agent of a turn.

        Raises:
            AgentLoadError: the factory returned something else.
        """
        if self.source is None or isinstance(self.source, Agent):
            return self.source
        built = self.source(context)
        if inspect.isawaitable(built):
            built = await built
        if not isinstance(built, Agent):
            entrypoint = self.definition.spec.entrypoint
            raise AgentLoadError(f"{entrypoint} returned a {type(built).__name__}, not an Agent")
        return built


class AG2Adapter(Adapter[AG2Agent]):
    """Runs agents on a stream of their own for each turn; their tools go through the turn's tool boundary."""

    framework = "ag2"
    default_concurrency = 50

    def load(self, definition: AgentDefinition) -> AG2Agent:
        """Import the entrypoint and find out what it is; for a declarative agent, check its definition.

        Raises:
            AgentLoadError: naming file, line and reason.
        """
        spec = definition.spec
        if spec.entrypoint is None:
            check_names_model(definition)
            return AG2Agent(definition, lambda context: build_agent(definition, context))
        found = load_object(spec.entrypoint)
        if is_conversation(found):
            return AG2Agent(definition, conversation=found, found=found)
        if isinstance(found, Agent) or is_factory(found):
            return AG2Agent(definition, found, found=found)
        raise AgentLoadError(
            f"{spec.entrypoint} is a {type(found).__name__}; it must be an Agent, an async function with one "
            "parameter, a str, or a function with one parameter, an AgentContext, that returns an Agent"
        )

    def tools(self, agent: AG2Agent) -> FoundTools:
        """Find the tools that an agent has, and those that its code names."""
        return find_tools(agent.found)

    def refuses(self, agent: AG2Agent) -> frozenset[RequestPart]:
        """Find what an agent takes of no request: a function takes a text alone."""
        return frozenset({"tools", "files"} if agent.conversation is not None else ())

    async def run(self, agent: AG2Agent, turn: Turn, context: TurnContext) -> AsyncGenerator[Event]:
        """Run one attempt at a turn. Closing the iterator hangs up on the model.

        Raises:
            RequestError: the request brings what the agent cannot take.
            StepLimitReached: after ``context.max_steps`` model calls.
            Exception: whatever the agent's code raised.
        """
        turn = await with_files(turn, context.stack)
        tools = function_tools(permitted_tools(turn), self.framework)
        run = TurnRun(context, {tool["function"]["name"] for tool in tools})
        async with aclosing(run.events(_drive(run, agent, turn, tools))) as events:
            async for event in events:
                yield event


async def _drive(run: TurnRun, agent: AG2Agent, turn: Turn, tools: list[dict[str, Any]]) -> None:
    current_run.set(run)
    if agent.conversation is not None:
        if tools:
            raise RequestError(f"tools: {agent.definition.id!r} is a function and cannot take tools")
        check_text_only(turn, "function")
        text = to_text([*turn.history, *turn.input], turn.instructions)
        result = await agent.conversation(text)
        await run.conclude(words_of(result.response) if isinstance(result, AgentReply) else result)
        return
    source = await agent.agent(agent_context(turn, run.context, tools))
    instructions, events = to_events(turn)
    reply = await source.resume(
        *events,
        stream=MemoryStream(),
        tools=[_client_tool(tool) for tool in tools],
        middleware=[Instructions.of(instructions)],
    )
    if reply._AgentReply__schema is not None:
        # A model's answer that is not of the schema stays what it is: words.
        with suppress(ValidationError):
            run.answer(await reply.content())
            return


def _client_tool(tool: dict[str, Any]) -> ClientTool:
    """Return a tool of the request's. AG2 takes no other fields of a function, such as ``strict``.

    Args:
        tool: the tool as chat completions takes it.
    """
    known = ("name", "description", "parameters")
    function = {name: value for name, value in tool["function"].items() if name in known}
    return ClientTool({"type": "function", "function": function})
