"""One attempt at a turn of a graph: what its callbacks and its stream say becomes our events."""

import asyncio
import threading
from contextvars import ContextVar
from dataclasses import dataclass
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
from k8gentai.agents.events import Event, MessageDone, TextDelta, ToolCall, ToolResult
from k8gentai.agents.turn import StepLimitReached, TurnContext, TurnError

_SUPERSTEPS_PER_CALL = 20
"""Supersteps a graph may take for each model call it may make, so that one that loops without any ends too."""

current_run: ContextVar["GraphRun"] = ContextVar("current_run")
"""The run that the code at hand belongs to."""


@dataclass(frozen=True)
class _Ended:
    """The end of the events; the error is what the turn ends with, if with one."""

    error: BaseException | None = None


class GraphRun:
    """Runs a graph in a task of its own and keeps its events for the one who asks.

    Args:
        context: what the harness lends.
        client_tools: the names of the tools that the client runs; a call to one ends the turn.
    """

    def __init__(self, context: TurnContext, client_tools: set[str]) -> None:
        self.context = context
        self.loop = asyncio.get_running_loop()
        self.thread = threading.get_ident()
        self._events: asyncio.Queue[Event | _Ended] = asyncio.Queue()
        self._unanswered: dict[str, None] = {}
        """Calls of the worker's tools that have no result yet, in their order."""
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
        item = await self._events.get()
        if not isinstance(item, _Ended):
            return item
        if isinstance(item.error, GraphRecursionError):
            raise StepLimitReached(self.calls.made) from item.error
        if item.error is not None:
            raise item.error
        return None

    def publish(self, event: Event) -> None:
        """Keep an event. Sync nodes call models from threads, so from any thread."""
        if isinstance(event, ToolCall) and event.side == "worker":
            self._unanswered[event.call_id] = None
        elif isinstance(event, ToolResult):
            self._unanswered.pop(event.call_id, None)
        self._put(event)

    def halt(self, error: Exception | None) -> None:
        """End the turn here, whatever the graph would do next."""
        self._put_end(error)

    def answered(self, call_id: str) -> None:
        """A result was published by the tool boundary."""
        self._unanswered.pop(call_id, None)

    def ended(self, task: asyncio.Task[None]) -> None:
        """The graph's task is done."""
        if task.cancelled():
            # Passed on as it is, it would look as if we were cancelled ourselves.
            self._put_end(TurnError("the agent's own code cancelled it"))
        else:
            self._put_end(task.exception())

    def _put_end(self, error: BaseException | None) -> None:
        if error is None:
            self.calls.close_failed()
            for call_id in list(self._unanswered):
                # Structured output and routers call tools that nobody runs: the call itself is the answer.
                self._put(ToolResult(call_id=call_id, output=""))
            self._unanswered.clear()
        self._put(_Ended(error))

    def _put(self, item: Event | _Ended) -> None:
        if threading.get_ident() == self.thread:
            self._events.put_nowait(item)
        else:
            self.loop.call_soon_threadsafe(self._events.put_nowait, item)

    def _take(self, message: BaseMessage, metadata: dict[str, Any]) -> None:
        """A message of the stream. What a model call made is known already; the rest is a node's own."""
        if isinstance(message, ToolMessage):
            self._take_result(message)
        elif isinstance(message, AIMessage) and not self.calls.knows(message.id):
            self._take_message(message, str(metadata.get("langgraph_checkpoint_ns", "")))

    def _take_result(self, message: ToolMessage) -> None:
        if message.tool_call_id in self._unanswered:
            self.answered(message.tool_call_id)
            output = text_and_reasoning(message)[0]
            self._put(ToolResult(call_id=message.tool_call_id, output=output, is_error=message.status == "error"))

    def _take_message(self, message: AIMessage, task: str) -> None:
        text, _ = text_and_reasoning(message)
        message_id = None
        # Nodes like to put a model's answer into a message of their own, under another name.
        if text and not self.calls.said(text, task):
            message_id = self.calls.new_message_id()
            self._put(TextDelta(message_id=message_id, delta=text))
        for call in tool_calls(message, {}, frozenset()):
            if not self.calls.has_called(call.call_id):
                self.publish(call)
        if message_id:
            self._put(MessageDone(message_id=message_id, text=text))
