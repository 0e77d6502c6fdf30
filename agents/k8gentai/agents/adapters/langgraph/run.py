"""One attempt at a turn of a graph: what its callbacks and its stream say becomes our events."""

from contextvars import ContextVar
from typing import Any, cast

from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphRecursionError
from langgraph.pregel import Pregel
from langgraph.types import Command, Interrupt

from k8gentai.agents.adapters.langgraph.calls import ModelCalls, tool_calls
from k8gentai.agents.adapters.langgraph.content import text_and_reasoning
from k8gentai.agents.adapters.langgraph.questions import Questions
from k8gentai.agents.events import Event, MessageDone, TextDelta, ToolResult
from k8gentai.agents.kept_events import KeptEvents
from k8gentai.agents.turn import StepLimitReached, TurnContext

_SUPERSTEPS_PER_CALL = 20
"""Supersteps a graph may take for each model call it may make, so that one that loops without any ends too."""

current_run: ContextVar["GraphRun"] = ContextVar("current_run")
"""The run that the code at hand belongs to."""


class GraphRun(KeptEvents):
    """Runs a graph in a task of its own and keeps its events for the one who asks.

    Args:
        context: what the harness lends.
        client_tools: the names of the tools that the client runs; a call to one ends the turn.
    """

    def __init__(self, context: TurnContext, client_tools: set[str]) -> None:
        super().__init__()
        self.context = context
        self.calls = ModelCalls(self.publish, self.halt, context.max_steps, client_tools)

    async def drive(self, graph: Pregel[Any, Any, Any, Any], messages: list[BaseMessage], thread_id: str) -> None:
        """Run the graph to its end.

        Args:
            thread_id: for tools and nodes that keep something under it.

        """
        current_run.set(self)
        given = {message.id for message in messages}
        limit = self.context.max_steps * _SUPERSTEPS_PER_CALL
        config: RunnableConfig = {
            "callbacks": [self.calls],
            "configurable": {"thread_id": thread_id},
            "recursion_limit": min(limit, (graph.config or {}).get("recursion_limit", limit)),
        }
        if self.context.decided:
            # A graph goes on from an interrupt only with a memory, which costs the others nothing.
            graph = graph.copy({"checkpointer": InMemorySaver()})
        questions = Questions(self.context.tools)
        graph_input: Any = {"messages": messages}
        while graph_input is not None:
            # The first mode makes models stream, whatever node calls them and however.
            stream = graph.astream(
                graph_input, config, stream_mode=["messages", "updates"], subgraphs=True, version="v2"
            )
            asked: list[Interrupt] = []
            async for part in stream:
                if part["type"] == "updates":
                    # The graph itself tells of its subgraphs' interrupts, too.
                    asked += part["data"].get("__interrupt__", ()) if not part["ns"] else ()
                    continue
                message, metadata = cast("tuple[BaseMessage, dict[str, Any]]", part["data"])
                if message.id not in given:
                    self._take(message, metadata)
            graph_input = Command(resume=await questions.answers(asked)) if asked else None

    async def next_event(self) -> Event | None:
        """The next event; None at a good end.

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

    def _take(self, message: BaseMessage, metadata: dict[str, Any]) -> None:
        """A message of the stream. What a model call made is known already; the rest is a node's own."""
        if isinstance(message, ToolMessage):
            self._take_result(message)
        elif isinstance(message, AIMessage) and not self.calls.knows(message.id):
            self._take_message(message, str(metadata.get("langgraph_checkpoint_ns", "")))

    def _take_result(self, message: ToolMessage) -> None:
        if self.waits_for(message.tool_call_id):
            output = text_and_reasoning(message)[0]
            self.publish(
                ToolResult(call_id=message.tool_call_id, output=output, is_error=message.status == "error")
            )

    def _take_message(self, message: AIMessage, task: str) -> None:
        text, _ = text_and_reasoning(message)
        message_id = None
        # Nodes like to put a model's answer into a message of their own, under another name.
        if text and not self.calls.said(text, task):
            message_id = self.calls.new_message_id()
            self.publish(TextDelta(message_id=message_id, delta=text))
        for call in tool_calls(message, {}, frozenset()):
            if not self.calls.has_called(call.call_id):
                self.publish(call)
        if message_id:
            self.publish(MessageDone(message_id=message_id, text=text))
