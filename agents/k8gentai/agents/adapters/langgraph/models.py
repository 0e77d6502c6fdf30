"""Follows the model calls of a graph, wherever in it they are made, by LangChain's callbacks.

The graph's own stream says what a model call produced; callbacks say where the call begins and ends, and count
it, also where a node calls a model several times, or in a thread, or without streaming.
"""

import asyncio
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from itertools import chain, count
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolCallChunk
from langchain_core.messages.tool import tool_call as make_tool_call
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, GenerationChunk, LLMResult
from langgraph.constants import TAG_NOSTREAM

from k8gentai.agents.adapters.base.model_call import NumberedCall
from k8gentai.agents.adapters.langgraph.answers import Published
from k8gentai.agents.adapters.langgraph.client_calls import put_back_calls, take_out_calls, take_out_pieces
from k8gentai.agents.adapters.langgraph.content import text_and_reasoning
from k8gentai.agents.adapters.langgraph.open_calls import OpenCalls
from k8gentai.agents.adapters.langgraph.withdrawn import WithdrawnCalls
from k8gentai.agents.contract.events import (
    Event,
    MessageDone,
    ReasoningDelta,
    StepCompleted,
    StepStarted,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallStarted,
    ToolSide,
)
from k8gentai.agents.contract.turn import StepLimitReached
from k8gentai.agents.text.json_text import arguments_object, shown_json

_HANDED_OVER = "the turn goes back to the client, for its tools"


class _Halted(Exception):  # noqa: N818 - it says that the turn is over, not that something went wrong
    """Keeps the graph from going on after the turn's end."""


@dataclass
class _Call(NumberedCall):
    """One model call under way."""

    shown: bool
    """Whether its tool calls are published."""
    speaks: bool
    """Whether its words are published, as they may be the turn's answer."""
    ids: set[str]
    """The ids of its message."""
    task: str = ""
    """The graph's task that makes it."""
    text: str = ""
    reasoning: str = ""
    place: int = 0
    """The position of its text among all that the turn shows."""
    parts: set[object] = field(default_factory=set)
    """The places in its message of the parts that are shown by a mark."""
    tools: dict[object, str] = field(default_factory=dict)
    """The id of each tool call being streamed, by its index in the answer."""
    arguments: dict[str, str] = field(default_factory=dict)
    """The part of each tool call's arguments that was streamed, by the call's id."""
    clients: set[str] = field(default_factory=set)
    """The ids of the calls that are the client's to make."""
    left: list[ToolCallChunk] = field(default_factory=list)
    """The pieces of those calls, which were taken out of the answer."""

    def is_clients(self, written: Mapping[str, Any]) -> bool:
        """Return whether a call, of which this is written somewhere in the answer, is the client's to make."""
        # The Responses API's calls have ids as items, too.
        call_id = written.get("call_id") or written.get("id") or self.tools.get(written.get("index"))
        return call_id in self.clients


class ModelCalls(BaseCallbackHandler):
    """Publishes the steps, texts and tool calls of every model call of one turn.

    Args:
        publish: takes each event, from any thread.
        halt: ends the turn, with an error or well.
        limit: the number of model calls that may be made.
        client_tools: tools whose calls end the turn.
        structured: tools that nobody runs: calling one is how the model answers in a structure.
        exempt: takes a call for which no tool ran.
        open_calls: is told what models ask for.
        withdrawn: is told so as well.
    """

    run_inline = True
    raise_error = True

    def __init__(
        self,
        publish: Callable[[Event], None],
        halt: Callable[[Exception | None], None],
        limit: int,
        client_tools: AbstractSet[str],
        exempt: Callable[[str], None],
        open_calls: OpenCalls,
        withdrawn: WithdrawnCalls,
        structured: AbstractSet[str] = frozenset(),
    ) -> None:
        self._exempt = exempt
        self._publish = publish
        self._halt = halt
        self._limit = limit
        self._client_tools = client_tools
        self._structured = structured
        self._open_calls = open_calls
        self._withdrawn = withdrawn
        self._running: dict[UUID, _Call] = {}
        self._failed: list[_Call] = []
        self._messages = 0
        self._shown = count(1)
        self.published: list[Published] = []
        """The messages that model calls made."""
        self._called: set[str] = set()
        self._renamed: set[str] = set()
        """Calls of code's own that are shown under other ids."""
        self._in_tools: set[UUID] = set()
        """LangChain's runs that work for a tool call."""
        self.tool_tasks: set[str] = set()
        """The tasks of the graph that run tools."""
        self.made = 0
        """The number of model calls so far."""
        self._hands_over = False
        """Whether the client has a call of its own to make."""

    def new_message_id(self) -> str:
        """Return the id of the turn's next message: the same whenever the turn is run again."""
        self._messages += 1
        return f"m{self._messages}"

    def new_place(self) -> int:
        """Return the place of a message that is shown after all others so far. From any thread."""
        return next(self._shown)

    def has_called(self, call_id: str) -> bool:
        """Return whether a tool call was published."""
        return call_id in self._called

    def renamed(self, call_id: str) -> None:
        """Note a call of code's own that is shown under another id."""
        self._renamed.add(call_id)

    def close_failed(self) -> None:
        """Close the messages of model calls that broke off, as the agent went on without them."""
        for call in self._failed:
            self._close(call)
            self._publish(StepCompleted(step_id=call.step_id, kind="inference"))
        self._failed.clear()

    def close_left(self) -> None:
        """Close the messages of all model calls that have not ended: LangChain does not tell of all that the agent
        gave up. To be called at the graph's end."""
        self._failed += self._running.values()
        self._running.clear()
        self.close_failed()

    def hand_over_unread(self) -> None:
        """Publish the client's calls in answers that the agent's code stopped to read, as far as they are whole.

        To be called at the graph's end: the code saw nothing of them, and asked no model since.
        """
        for call in (*self._failed, *self._running.values()):
            for piece in call.left:
                call_id, name = piece["id"], piece["name"]
                if not call_id or not name or call_id not in call.clients or self.has_called(call_id):
                    continue
                # The gateway has written the end of those that are whole, also of a call without arguments.
                arguments = call.arguments[call_id]
                if arguments and arguments_object(arguments) is not None:
                    self._called.add(call_id)
                    self._publish(ToolCall(call_id=call_id, name=name, arguments=arguments, side="client"))

    def publish_calls(self, message: AIMessage) -> None:
        """Publish the tool calls of a message that no model call made."""
        for call in tool_calls(message, {}, frozenset()):
            known = self.has_called(call.call_id) or call.call_id in self._renamed
            if not known and call.name not in self._structured:
                self._called.add(call.call_id)
                self._publish(call)

    def on_tool_start(self, serialized: dict[str, Any], input_str: str, *, run_id: UUID, **kwargs: Any) -> None:
        """Note that a tool is about to run: what models say for it is its own affair."""
        self._in_tools.add(run_id)
        if task := (kwargs.get("metadata") or {}).get("langgraph_checkpoint_ns"):
            self.tool_tasks.add(task)

    def on_chain_start(self, serialized: dict[str, Any], inputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Note a part of the graph that begins, which may work for a tool."""
        if kwargs.get("parent_run_id") in self._in_tools:
            self._in_tools.add(run_id)

    def on_chat_model_start(
        self, serialized: dict[str, Any], messages: list[list[BaseMessage]], *, run_id: UUID, **kwargs: Any
    ) -> None:
        """Begin the call of a chat model."""
        self._open_calls.shown(chain.from_iterable(messages))
        self._begin(run_id, kwargs)

    def on_llm_start(self, serialized: dict[str, Any], prompts: list[str], *, run_id: UUID, **kwargs: Any) -> None:
        """Begin the call of a completion model."""
        self._begin(run_id, kwargs)

    def on_llm_new_token(
        self,
        token: str | list[str | dict[str, Any]],
        *,
        chunk: GenerationChunk | ChatGenerationChunk | None = None,
        run_id: UUID,
        **kwargs: Any,
    ) -> None:
        """Take a piece of an answer."""
        call = self._running.get(run_id)
        if call is None or not call.shown:
            return
        if not isinstance(chunk, ChatGenerationChunk):
            self._delta(call, chunk.text if chunk else str(token), "")
            return
        if chunk.message.id:
            call.ids.add(chunk.message.id)
        self._delta(call, *text_and_reasoning(chunk.message, call.parts))
        if isinstance(chunk.message, AIMessageChunk):
            for piece in chunk.message.tool_call_chunks:
                self._tool_delta(call, piece)
        call.left += take_out_pieces(chunk, call.is_clients)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """Note that an answer is whole. One that was not streamed is published now."""
        call = self._running.pop(run_id, None)
        if call is None:
            return
        generation = response.generations[0][0] if response.generations and response.generations[0] else None
        message = generation.message if isinstance(generation, ChatGeneration) else None
        if isinstance(generation, ChatGeneration):
            put_back_calls(generation, call.left)
        calls: list[ToolCall] = []
        if call.shown and generation is not None:
            if message is not None:
                message.id = message.id or f"lc_run--{run_id}"
                call.ids.add(message.id)
            if not call.text and not call.reasoning:
                self._delta(call, *(text_and_reasoning(message) if message else (generation.text, "")))
            if isinstance(message, AIMessage):
                made = tool_calls(message, call.arguments, self._client_tools)
                calls = [each for each in made if each.name not in self._structured]
                for answering in (each for each in made if each.name in self._structured):
                    self._exempt(answering.call_id)
            for tool_call in calls:
                self._called.add(tool_call.call_id)
                self._publish(tool_call)
        self._close(call)
        if isinstance(message, AIMessage):
            let_run(message)
            self._open_calls.asked(message)
            self._withdrawn.made(message)
        self._publish(StepCompleted(step_id=call.step_id, kind="inference"))
        if not any(tool_call.side == "client" for tool_call in calls):
            return
        if all(tool_call.side == "client" for tool_call in calls) or not isinstance(generation, ChatGeneration):
            self._halt(None)
            raise _Halted(_HANDED_OVER)
        # The graph runs the other tools before. It comes as far as the next model call.
        call.clients |= {each.call_id for each in calls if each.side == "client"}
        take_out_calls(generation, call.is_clients)
        self._hands_over = True

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Note that a model call broke off. The agent may try again; else what was said stays open for the turn's
        end."""
        if call := self._running.pop(run_id, None):
            if not isinstance(error, GeneratorExit | asyncio.CancelledError):
                # Whether the answer holds more is not known.
                call.clients.clear()
            self._failed.append(call)

    def _begin(self, run_id: UUID, told: dict[str, Any]) -> None:
        metadata = told.get("metadata") or {}
        self.close_failed()
        for_a_tool = told.get("parent_run_id") in self._in_tools
        if self._hands_over and not for_a_tool:
            self._halt(None)
            _stop_caller(_HANDED_OVER)
            return
        if self.made >= self._limit:
            self._halt(StepLimitReached(self._limit))
            _stop_caller(f"the turn may make no more than {self._limit} model calls")
            return
        self.made += 1
        task = str(metadata.get("langgraph_checkpoint_ns", ""))
        number = int(self.new_message_id()[1:])
        shown = not _is_internal(told)
        speaks = shown and not for_a_tool
        call = _Call(number, shown, speaks, {f"lc_run--{run_id}"}, task)
        self._running[run_id] = call
        # "research:<task>|model:<task>" is the node "model" of the subgraph in the node "research".
        name = "/".join(part.partition(":")[0] for part in task.split("|")) or metadata.get("langgraph_node")
        self._publish(StepStarted(step_id=call.step_id, kind="inference", name=name))

    def _delta(self, call: _Call, text: str, reasoning: str) -> None:
        if not call.speaks:
            return
        if reasoning:
            call.reasoning += reasoning
            self._publish(ReasoningDelta(message_id=call.message_id, delta=reasoning))
        if text:
            call.place = call.place or self.new_place()
            call.text += text
            self._publish(TextDelta(message_id=call.message_id, delta=text))

    def _tool_delta(self, call: _Call, piece: ToolCallChunk) -> None:
        index, call_id = piece.get("index"), piece["id"]
        if piece["name"] in self._structured:
            return
        if call_id and piece["name"] and call_id not in call.arguments:
            call.tools[index] = call_id
            call.arguments[call_id] = ""
            side = _side(piece["name"], self._client_tools)
            if side == "client":
                call.clients.add(call_id)
            self._publish(ToolCallStarted(call_id=call_id, name=piece["name"], side=side))
        current = call_id or call.tools.get(index)
        if current in call.arguments and piece["args"]:
            call.arguments[current] += piece["args"]
            self._publish(ToolCallDelta(call_id=current, delta=piece["args"]))

    def _close(self, call: _Call) -> None:
        if call.text or call.reasoning:
            self.published.append(
                Published(call.message_id, call.text, call.ids, call.place, call.reasoning, call.task)
            )
            self._publish(MessageDone(message_id=call.message_id, text=call.text, reasoning=call.reasoning))


def let_run(message: AIMessage) -> None:
    """Have a graph make the calls whose arguments cannot be read, as it does all others: the tool boundary answers
    them with an error, and the model is told. LangChain sets them aside, and graphs would end there."""
    for invalid in message.invalid_tool_calls:
        message.tool_calls.append(make_tool_call(name=invalid["name"] or "", args={}, id=invalid["id"]))
    message.invalid_tool_calls = []


def _is_internal(told: dict[str, Any]) -> bool:
    """Return whether a model call is for the graph's own purposes: its answer is read by code, and is not the
    agent's.

    LangChain's middleware marks its own calls (summaries, selections of tools), ``with_structured_output`` those
    whose answer becomes an object, and code by a tag those that are not to be streamed.
    """
    metadata, options = told.get("metadata") or {}, told.get("options") or {}
    return (
        TAG_NOSTREAM in (told.get("tags") or ())
        or "lc_internal_call" in metadata
        or "ls_structured_output_format" in options
    )


def _stop_caller(reason: str) -> None:
    """Stop whoever is about to call a model: a task before it has sent anything, a thread by an exception."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    if task is None:
        raise _Halted(reason)
    # Raising here would leave LangChain's coroutines for the other handlers without anyone to await them.
    task.cancel(reason)


def tool_calls(message: AIMessage, streamed: dict[str, str], client_tools: AbstractSet[str]) -> list[ToolCall]:
    """Return the tool calls of a whole message, those with unreadable arguments included, in the order in which
    they were streamed.

    Args:
        streamed: the arguments as the model wrote them, by call id, where they were streamed.
        client_tools: the tools that the client runs.
    """
    written = [
        *((c["id"], c["name"], shown_json(c["args"])) for c in message.tool_calls),
        *((c["id"], c["name"], c["args"] or "") for c in message.invalid_tool_calls),
    ]
    order = list(streamed)
    written.sort(key=lambda each: order.index(each[0]) if each[0] in streamed else len(order))
    return [
        ToolCall(
            call_id=call_id,
            name=name or "",
            arguments=streamed.get(call_id) or arguments,
            side=_side(name, client_tools),
        )
        for call_id, name, arguments in written
        if call_id
    ]


def _side(name: str | None, client_tools: AbstractSet[str]) -> ToolSide:
    return "client" if name in client_tools else "worker"
