"""LangGraph agents: a compiled graph, a graph to be compiled, a factory of one, or none (declarative).

Existing code runs unchanged: the adapter knows of a model call by its callbacks, and of a tool by what runs tools
in LangGraph and LangChain. What models say is shown while they say it; what the final state has is the answer.
Function tools of a request reach declarative agents and factories; a graph that is built has its tools inside, and
refuses them.
"""

import asyncio
import inspect
import os
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

# LangSmith reads this once, when it is first imported. Who sets it to true wants its traces.
os.environ.setdefault("LANGSMITH_TRACING", "false")
# How long a model may be silent, the gateway knows; what it says of one that was names the model.
os.environ.setdefault("LANGCHAIN_OPENAI_STREAM_CHUNK_TIMEOUT_S", "0")

from langchain_core.messages import BaseMessage, convert_to_messages
from langgraph.graph import StateGraph
from langgraph.pregel import Pregel

from k8gentai.agents.adapters.base.files import with_files
from k8gentai.agents.adapters.base.messages import to_messages
from k8gentai.agents.adapters.base.parameters import permitted_tools
from k8gentai.agents.adapters.langgraph.chunks import hook_chunks
from k8gentai.agents.adapters.langgraph.content import file_block
from k8gentai.agents.adapters.langgraph.declarative import build_graph
from k8gentai.agents.adapters.langgraph.found_tools import find_tools
from k8gentai.agents.adapters.langgraph.human_input import hook_interrupts
from k8gentai.agents.adapters.langgraph.inputs import check_input, graph_input, takes_text
from k8gentai.agents.adapters.langgraph.reasoning import keep_reasoning
from k8gentai.agents.adapters.langgraph.run import GraphRun, current_run
from k8gentai.agents.adapters.langgraph.structured_output import structured_tools
from k8gentai.agents.adapters.langgraph.tools import hook_tools
from k8gentai.agents.code.entrypoint import Factory, check_names_model, function_tools, is_factory
from k8gentai.agents.code.loading import load_object
from k8gentai.agents.contract.context import agent_context
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

keep_reasoning()
hook_interrupts(lambda: run.questions if (run := current_run.get(None)) else None)

_CLOSING_SECONDS = 5
"""The seconds that a closed turn may take to unwind; its model call is hung up on at once."""

Graph = Pregel[Any, Any, Any, Any]


@dataclass(frozen=True)
class LangGraphAgent:
    """A checked agent: a graph that every turn shares, or what builds one for a turn."""

    definition: AgentDefinition
    source: Graph | Factory

    async def graph(self, turn: Turn, context: TurnContext, tools: list[dict[str, Any]]) -> Graph:
        """Return the graph to run this turn.

        Raises:
            RequestError: the request brings tools, which a graph that is already built cannot take.
            AgentLoadError: the factory returned something else than a graph.
        """
        if isinstance(self.source, Pregel):
            if tools:
                raise RequestError(f"tools: {self.definition.id!r} is a finished graph and cannot take tools")
            return self.source
        built = self.source(agent_context(turn, context, tools))
        return _prepare(await built if inspect.isawaitable(built) else built, self.definition)


class LangGraphAdapter(Adapter[LangGraphAgent]):
    """Runs graphs with ``astream``; their tools go through the turn's tool boundary."""

    framework = "langgraph"
    default_concurrency = 50

    def __init__(self) -> None:
        hook_tools()
        hook_chunks()

    def load(self, definition: AgentDefinition) -> LangGraphAgent:
        """Import the entrypoint and find out what it is; for a declarative agent, check its definition.

        Raises:
            AgentLoadError: naming file, line and reason.
        """
        spec = definition.spec
        if spec.entrypoint is None:
            check_names_model(definition)
            return LangGraphAgent(definition, lambda context: build_graph(definition, context))
        found = load_object(spec.entrypoint)
        if isinstance(found, Pregel | StateGraph):
            return LangGraphAgent(definition, _prepare(found, definition))
        if not is_factory(found):
            raise AgentLoadError(
                f"{spec.entrypoint} is a {type(found).__name__}; it must be a graph, or a function with one "
                "parameter, an AgentContext, that returns a graph"
            )
        return LangGraphAgent(definition, found)

    def tools(self, agent: LangGraphAgent) -> FoundTools:
        """Find the tools that a graph has, and those that its code names."""
        return find_tools(agent.source if agent.definition.spec.entrypoint else None)

    def refuses(self, agent: LangGraphAgent) -> frozenset[RequestPart]:
        """Find what a graph takes of no request: a finished one has its tools, a function may take
        a text alone."""
        if not isinstance(agent.source, Pregel):
            return frozenset()
        return frozenset({"tools", "files"} if takes_text(agent.source) else {"tools"})

    async def run(self, agent: LangGraphAgent, turn: Turn, context: TurnContext) -> AsyncGenerator[Event]:
        """Run one attempt at a turn. Closing the iterator hangs up on the model.

        Raises:
            RequestError: the request brings tools that the agent cannot take.
            StepLimitReached: after ``context.max_steps`` model calls, or far too many steps without any.
            Exception: whatever the agent's code raised.
        """
        turn = await with_files(turn, context.stack)
        tools = function_tools(permitted_tools(turn), self.framework)
        graph = await agent.graph(turn, context, tools)
        named = frozenset(tool.name for tool in agent.definition.spec.tools)
        run = GraphRun(context, {tool["function"]["name"] for tool in tools}, structured_tools(graph), named)
        messages = _messages(turn)
        driving = run.drive(graph, messages, graph_input(graph, turn, messages), turn.conversation or turn.id)
        task = asyncio.create_task(driving)
        task.add_done_callback(run.ended)
        try:
            while (event := await run.next_event()) is not None:
                yield event
        finally:
            task.cancel()
            await asyncio.wait({task}, timeout=_CLOSING_SECONDS)


def _prepare(found: object, definition: AgentDefinition) -> Graph:
    """Return a graph ready to run: compiled, without a memory of its own.

    Raises:
        AgentLoadError: it is no graph, or not one that talks in messages.
    """
    entrypoint = definition.spec.entrypoint
    graph = found.compile() if isinstance(found, StateGraph) else found
    if not isinstance(graph, Pregel):
        raise AgentLoadError(f"{entrypoint} returned a {type(graph).__name__}, not a graph")
    check_input(graph, entrypoint)
    # The conversation's history comes with each turn. A checkpointer would have it a second time.
    return graph.copy({"checkpointer": None}) if graph.checkpointer else graph


def _messages(turn: Turn) -> list[BaseMessage]:
    messages = convert_to_messages(to_messages([*turn.history, *turn.input], turn.instructions))
    # LangGraph tells messages apart by their ids; these tell what was given from what the agent says.
    for number, message in enumerate(messages):
        message.id = f"given-{number}"
        if isinstance(message.content, list):
            message.content = [file_block(block) for block in message.content]
    return messages
