"""One attempt at a turn of a graph: what its callbacks and its stream say becomes our events."""

from collections.abc import Set as AbstractSet
from contextvars import ContextVar
from typing import Any, cast

from langchain_core.messages import BaseMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphRecursionError
from langgraph.pregel import Pregel
from langgraph.types import Interrupt

from k8gentai.agents.adapters.base.call_ids import CallIds
from k8gentai.agents.adapters.base.event_queue import KeptEvents
from k8gentai.agents.adapters.langgraph.answers import Answers
from k8gentai.agents.adapters.langgraph.content import text_and_reasoning
from k8gentai.agents.adapters.langgraph.human_input import Questions, has_breakpoints
from k8gentai.agents.adapters.langgraph.left_words import LeftWords
from k8gentai.agents.adapters.langgraph.models import ModelCalls
from k8gentai.agents.adapters.langgraph.open_calls import OpenCalls
from k8gentai.agents.adapters.langgraph.places import Places
from k8gentai.agents.adapters.langgraph.refusals import Refusals
from k8gentai.agents.adapters.langgraph.withdrawn import WithdrawnCalls
from k8gentai.agents.contract.events import Event, ToolResult
from k8gentai.agents.contract.turn import NOT_APPROVED, StepLimitReached, TurnContext

_SUPERSTEPS_PER_CALL = 20
"""Supersteps a graph may take for each model call it may make, so that one that loops without any ends too."""

_INTERRUPT = "__interrupt__"
"""The key under which LangGraph has the questions for a person."""

current_run: ContextVar["GraphRun"] = ContextVar("current_run")
"""The run that the code at hand belongs to."""


class GraphRun(KeptEvents):
    """Runs a graph in a task of its own and keeps its events for the one who asks.

    Args:
        context: the means that the harness lends.
        client_tools: the names of the tools that the client runs; a call to one ends the turn.
        structured: the names of the tools that nobody runs, as calling one is the answer.
        named: the tools that the agent's definition speaks of.
    """

    def __init__(
        self,
        context: TurnContext,
        client_tools: set[str],
        structured: AbstractSet[str] = frozenset(),
        named: AbstractSet[str] = frozenset(),
    ) -> None:
        super().__init__(context.publish)
        self.context = context
        self.named = named
        self.call_ids = CallIds()
        self.open_calls = OpenCalls()
        self._withdrawn = WithdrawnCalls()
        self.raised: set[str] = set()
        """The calls whose tools raised to the code that ran them, which may try again."""
        self.calls = ModelCalls(
            self.publish,
            self.halt,
            context.max_steps,
            client_tools,
            context.tools.exempt,
            self.open_calls,
            self._withdrawn,
            structured,
        )
        self._answers = Answers(
            self.calls.published,
            self.calls.new_message_id,
            self.calls.new_place,
            self.publish,
            self.calls.publish_calls,
        )
        self._left_words = LeftWords(self.calls.published, context.leave_out)
        self._places = Places()
        self._refusals = Refusals(context.tools.exempt)
        self.questions = Questions(context.tools, self._places)

    async def drive(
        self, graph: Pregel[Any, Any, Any, Any], messages: list[BaseMessage], graph_input: Any, thread_id: str
    ) -> None:
        """Run the graph to its end.

        Args:
            messages: the turn's.
            graph_input: the messages and parameters as the graph takes them.
            thread_id: for tools and nodes that keep something under it.

        """
        current_run.set(self)
        self._answers.begin(messages)
        limit = self.context.max_steps * _SUPERSTEPS_PER_CALL
        config: RunnableConfig = {
            "callbacks": [self.calls, self._places, self._refusals, self._left_words],
            "configurable": {"thread_id": thread_id},
            "recursion_limit": min(limit, (graph.config or {}).get("recursion_limit", limit)),
        }
        if has_breakpoints(graph):
            # A graph goes on from one only with a memory, which costs the others nothing.
            graph = graph.copy({"checkpointer": InMemorySaver()})
        stopped = True
        while stopped:
            stopped, asked = await self._stream(graph, graph_input, config)
            if asked:
                await self.questions.ask(asked)
            if stopped:
                graph_input = None
                stopped = await self._passes_breakpoint(graph, config)
                # A node whose subgraph stopped begins anew.
                self.context.tools.begin_anew()
                self.open_calls.begin_anew()
        self.calls.hand_over_unread()
        self.calls.close_left()
        for call_id in self._withdrawn.ids():
            self.context.tools.exempt(call_id)
        outputs = graph.output_channels
        self._answers.finish([outputs] if isinstance(outputs, str) else outputs)

    async def _stream(
        self, graph: Pregel[Any, Any, Any, Any], graph_input: Any, config: RunnableConfig
    ) -> tuple[bool, list[Interrupt]]:
        """Run the graph until it ends or stops. Returns whether it stopped, and what it asks, which is nothing at
        a breakpoint."""
        # The first mode makes models stream, whatever node calls them and however. The version is the one in
        # which a graph runs by itself: in later ones every state has to be of the output's schema.
        stream = graph.astream(
            graph_input, config, stream_mode=["messages", "updates", "values"], subgraphs=True, version="v1"
        )
        asked: list[Interrupt] = []
        stopped = False
        async for part in stream:
            namespace, mode, data = cast("tuple[tuple[str, ...], str, Any]", part)
            if mode == "values":
                self._take_state(namespace, data)
            elif mode == "updates":
                # The graph itself tells of its subgraphs' interrupts, too.
                if not namespace and _INTERRUPT in data:
                    stopped = True
                    asked += data[_INTERRUPT]
            else:
                message, _ = cast("tuple[BaseMessage, dict[str, Any]]", data)
                if isinstance(message, ToolMessage):
                    self._take_result(message)
        return stopped, asked

    def _take_state(self, namespace: tuple[str, ...], data: Any) -> None:
        """Take the state of the graph, or of one within it."""
        if self._for_a_tool(namespace):
            return
        state = _without_interrupts(data)
        self._answers.take(namespace, state)
        self._withdrawn.take(namespace, state)
        if not namespace:
            self._left_words.take(state)

    async def _passes_breakpoint(self, graph: Pregel[Any, Any, Any, Any], config: RunnableConfig) -> bool:
        """Ask a person whether the graph goes on. Where it does not, nothing of it that is left runs."""
        if await self.questions.ask_at_breakpoint(await graph.aget_state(config)):
            return True
        for call_id in self.unanswered():
            self.context.tools.exempt(call_id)
            self.publish(ToolResult(call_id=call_id, output=NOT_APPROVED, is_error=True))
        return False

    async def next_event(self) -> Event | None:
        """Return the next event; None at a good end.

        Raises:
            Exception: what the run ended with.
        """
        try:
            return await super().next_event()
        except GraphRecursionError as error:
            raise StepLimitReached(self.calls.made) from error

    def close_failed(self) -> None:
        """Close the messages of model calls that broke off, as the graph went on without them."""
        self.calls.close_failed()

    def _for_a_tool(self, namespace: tuple[str, ...]) -> bool:
        """Return whether a subgraph works for a tool: what it says is that tool's affair."""
        tasks = ("|".join(namespace[:length]) for length in range(1, len(namespace) + 1))
        return any(task in self.calls.tool_tasks for task in tasks)

    def _take_result(self, message: ToolMessage) -> None:
        if self.waits_for(message.tool_call_id):
            output = text_and_reasoning(message)[0]
            self.publish(
                ToolResult(call_id=message.tool_call_id, output=output, is_error=message.status == "error")
            )


def _without_interrupts(state: Any) -> Any:
    """Return a state without the questions that LangGraph puts beside its fields."""
    if not isinstance(state, dict) or _INTERRUPT not in state:
        return state
    return {name: value for name, value in state.items() if name != _INTERRUPT}
