"""Renders a turn's events as the OpenAI Responses API shows them.

A pure fold: the same events of the same turn always give the same stream events, with the same item ids,
``output_index`` and ``sequence_number`` (from 0, without gaps), and the events of a longer stream begin
with those of a shorter one. So a stream can be taken up at any point by any server process: render from
the start and skip. The response object is the same fold's state.

Where the API says nothing:
- A turn that was cancelled ends its stream with ``response.incomplete`` whose response has the status
  ``cancelled``: there is no ``response.cancelled`` event, and this one every client takes as an end
  without raising.
- A second attempt goes on with what the first left open. An item it drops is closed as ``incomplete`` if it is
  open; it keeps its place in the stream and leaves the response's output. Its tokens stay counted.
- A suspended turn (waiting for approval) ends as ``completed`` with its approval requests, as the host's
  builtin does; they stay where it is cancelled after that. A turn that ends otherwise while it runs waits for
  nobody: its requests leave the output, and the calls they stood for are shown as ``incomplete``.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from k8gentai.agents.contract import events as ev
from k8gentai.agents.contract.turn import Item
from k8gentai.providers.ids import item_id
from k8gentai.providers.rendering.output_items import (
    FunctionCall,
    McpCall,
    Message,
    OutputItem,
    Reasoning,
    WholeItem,
)
from k8gentai.providers.rendering.response_object import UsageSum, error_of, resource_base
from k8gentai.providers.rendering.search_output import SearchCall
from k8gentai.workers.queue.record import TurnRecord

StreamEvent = dict[str, Any]
"""One event of a Responses API stream, ready for JSON."""

_Kind = TypeVar("_Kind", bound=OutputItem)
_Call = McpCall | FunctionCall | SearchCall


class Rendering:
    """The fold. Feed it a turn's events in their order.

    Args:
        record: the turn; only what was fixed when it was accepted is read.
    """

    def __init__(self, record: TurnRecord) -> None:
        self.ended_at: float | None = None
        """The time at which the turn ended (Unix seconds). To be set before its last event is fed, as events carry
        no time."""
        self._record = record
        self._base = resource_base(record)
        answers = record.replay.answers if record.replay else {}
        self._refused = record.refused()
        """Calls that a person has refused in this turn: they were made by nobody."""
        self._approved_by = {call_id: answer.request_id for call_id, answer in answers.items()}
        self._items: list[OutputItem] = []
        self._first_index = len(record.turn.input)
        self._usage = UsageSum()
        self._sequence = 0
        self.asked: dict[str, ev.Interrupt] = {}
        """The questions that the turn asks a person, by the ids of the items that ask."""
        self._waiting: dict[str, _Call] = {}
        """The calls in whose place a person is asked, by their ids."""
        self._told: dict[str, ev.ToolCall] = {}
        """The events of calls, by their ids."""
        self._out: list[StreamEvent] = []
        self._in_progress = False
        self._messages: dict[str, Message] = {}
        self._reasonings: dict[str, Reasoning] = {}
        self._calls: dict[str, _Call] = {}
        self._whole: dict[str, WholeItem] = {}
        self._made: defaultdict[str, list[OutputItem]] = defaultdict(list)
        """The items made of each message, call or whole item, by the id its events have."""
        self._handlers: dict[type, Callable[[Any], None]] = {
            ev.TurnAccepted: self._accepted,
            ev.TurnStarted: self._started,
            ev.TextDelta: self._text_delta,
            ev.ReasoningDelta: self._reasoning_delta,
            ev.MessageDone: self._message_done,
            ev.ToolCallStarted: self._call_started,
            ev.ToolCallDelta: self._call_delta,
            ev.ToolCall: self._called,
            ev.ToolResult: self._call_result,
            ev.ItemStarted: self._item_started,
            ev.ItemProgress: self._item_progress,
            ev.ItemDone: self._item_done,
            ev.ItemDropped: self._item_dropped,
            ev.Usage: self._usage.add,
            ev.Interrupt: self._interrupt,
            ev.TurnCompleted: self._completed,
            ev.TurnSuspended: self._suspended,
            ev.TurnIncomplete: self._incomplete,
            ev.TurnFailed: self._failed,
            ev.TurnCancelled: self._cancelled,
        }

    def feed(self, event: ev.Event) -> list[StreamEvent]:
        """Take one more event. Returns the stream events it gives, possibly none."""
        if isinstance(event, ev.Interrupt):
            # The agent came to the call again with other arguments: the refusal was not about this one.
            self._refused.discard(event.call_id)
        handler = self._handlers.get(type(event))
        if handler is not None and getattr(event, "call_id", None) not in self._refused:
            handler(event)
        out, self._out = self._out, []
        return out

    def response(self) -> dict[str, Any]:
        """Return the response object as it stands."""
        output = [item.view() for item in self._items if item.shown]
        usage = self._usage.resource() if self._usage.counted else self._base["usage"]
        return {**self._base, "output": output, "usage": usage}

    def _emit(self, event_type: str, **fields: Any) -> None:
        if "response" not in fields:
            # Llama Stack's own events say whose they are, and its client takes those that do not for others.
            fields["response_id"] = self._record.turn.id
        self._out.append({"type": event_type, "sequence_number": self._sequence, **fields})
        self._sequence += 1

    def _add(self, kind: Callable[..., _Kind], item_type: str, *args: Any) -> _Kind:
        index = len(self._items)
        id_ = item_id(self._record.turn.id, self._first_index + index, item_type)
        item = kind(self._emit, id_, index, *args)
        self._items.append(item)
        return item

    def _accepted(self, _: ev.TurnAccepted) -> None:
        if self._record.background:
            self._emit("response.created", response=self.response())
            self._emit("response.queued", response=self.response())
        else:
            # As the OpenAI API begins: its clients know no waiting where nobody asked for the background.
            self._emit("response.created", response={**self.response(), "status": "in_progress"})

    def _started(self, _: ev.TurnStarted) -> None:
        if not self._in_progress:
            self._in_progress = True
            self._base["status"] = "in_progress"
            self._emit("response.in_progress", response=self.response())

    def _item_dropped(self, event: ev.ItemDropped) -> None:
        for item in self._made.pop(event.item_id, ()):
            if item.open:
                item.close("incomplete")
            item.shown = False
            if (request := self.asked.pop(item.id, None)) is not None:
                self._show_again(request)
        for known in (self._messages, self._reasonings, self._calls, self._whole):
            known.pop(event.item_id, None)

    def _close_open(self, status: str) -> None:
        for item in self._items:
            if item.open:
                item.close(status)

    def _close_reasoning(self, message_id: str) -> None:
        reasoning = self._reasonings.pop(message_id, None)
        if reasoning is not None:
            reasoning.close("completed")

    def _text_delta(self, event: ev.TextDelta) -> None:
        self._close_reasoning(event.message_id)
        self._message(event.message_id).delta(event.delta, event.logprobs)

    def _message(self, message_id: str) -> Message:
        message = self._messages.get(message_id)
        if message is None:
            message = self._messages[message_id] = self._add(Message, "message")
            self._made[message_id].append(message)
        return message

    def _reasoning_delta(self, event: ev.ReasoningDelta) -> None:
        reasoning = self._reasonings.get(event.message_id)
        if reasoning is None:
            reasoning = self._reasonings[event.message_id] = self._add(Reasoning, "reasoning")
            self._made[event.message_id].append(reasoning)
        reasoning.delta(event.delta)

    def _message_done(self, event: ev.MessageDone) -> None:
        self._close_reasoning(event.message_id)
        if event.text or event.message_id in self._messages:
            self._message(event.message_id).finish(event.text, event.annotations, event.logprobs)
            del self._messages[event.message_id]

    def _call_started(self, event: ev.ToolCallStarted) -> None:
        self._open_call(ev.ToolCall(call_id=event.call_id, name=event.name, arguments="", side=event.side))

    def _open_call(self, event: ev.ToolCall) -> _Call:
        call_id, known = event.call_id, self._calls.get(event.call_id)
        if known is not None and known.open:
            return known
        # Reasoning that led to a call has no message to end it.
        for message_id in list(self._reasonings):
            self._close_reasoning(message_id)
        call: _Call
        if event.side == "client":
            call = self._add(FunctionCall, "function_call", call_id, event.name)
        elif event.shown_as != "mcp_call":
            call = self._add(SearchCall, event.shown_as, event.shown_as)
        else:
            label = event.server_label or self._record.turn.agent
            call = self._add(McpCall, "mcp_call", event.name, label, self._approved_by.get(call_id))
        self._calls[call_id] = call
        self._made[call_id].append(call)
        return call

    def _call_delta(self, event: ev.ToolCallDelta) -> None:
        call = self._calls.get(event.call_id)
        if call is not None and call.open and not isinstance(call, SearchCall):
            call.delta(event.delta)

    def _called(self, event: ev.ToolCall) -> None:
        self._told[event.call_id] = event
        call = self._open_call(event)
        if isinstance(call, McpCall) and event.server_label:
            call.server_label = event.server_label
        call.called(event.arguments)

    def _call_result(self, event: ev.ToolResult) -> None:
        if event.call_id not in self._calls and self._waiting.pop(event.call_id, None) is not None:
            # Run again after its worker died, the call comes to its end without the question.
            self._called(self._told[event.call_id])
        call = self._calls.get(event.call_id)
        if isinstance(call, SearchCall) and call.open:
            call.result(event.results, is_error=event.is_error)
        elif isinstance(call, McpCall) and call.open:
            call.result(event.output, is_error=event.is_error)

    def _item_started(self, event: ev.ItemStarted) -> None:
        item = self._whole[event.item["id"]] = self._add(WholeItem, event.item["type"], event.item)
        self._made[event.item["id"]].append(item)

    def _item_progress(self, event: ev.ItemProgress) -> None:
        item = self._whole.get(event.item_id)
        if item is not None:
            item.progress(event.event)

    def _item_done(self, event: ev.ItemDone) -> None:
        item = self._whole.pop(event.item.get("id", ""), None)
        if item is None:
            item = self._add(WholeItem, event.item["type"], event.item)
        item.finish(event.item)

    def _interrupt(self, event: ev.Interrupt) -> None:
        for call_id in (*event.waiting, event.call_id):
            call = self._calls.pop(call_id, None)
            if call is not None and call.open:
                # The client is asked in place of the calls it was shown.
                call.close("incomplete")
                call.shown = False
                self._waiting[call_id] = call
        label = event.server_label or (call.server_label if isinstance(call, McpCall) else "")
        request: Item = {
            "type": "mcp_approval_request",
            "name": event.name,
            "arguments": event.arguments,
            "server_label": label or self._record.turn.agent,
        }
        asking = self._add(WholeItem, "mcp_approval_request", request)
        asking.finish(request)
        self.asked[asking.id] = event
        self._made[ev.request_item(event.call_id)].append(asking)

    def _show_again(self, withdrawn: ev.Interrupt) -> None:
        """Show the calls again that run on without the decision that they waited for."""
        for call_id in withdrawn.waiting:
            waits = any(call_id in request.waiting for request in self.asked.values())
            if not waits and self._waiting.pop(call_id, None) is not None and call_id in self._told:
                self._called(self._told[call_id])

    def _suspended(self, event: ev.TurnSuspended) -> None:
        for call in self._calls.values():
            if call.open:
                # The client is asked first. The response that continues this one shows the call with its result.
                call.close("incomplete")
                call.shown = False
        self._completed(event)

    def _completed(self, event: ev.TurnCompleted | ev.TurnSuspended) -> None:
        self._close_open("completed")
        if isinstance(event, ev.TurnCompleted):
            self._withdraw_requests()
        self._base["completed_at"] = None if self.ended_at is None else int(self.ended_at)
        self._end("completed", "response.completed")

    def _incomplete(self, event: ev.TurnIncomplete) -> None:
        self._break_off()
        self._base["incomplete_details"] = {"reason": event.reason}
        self._end("incomplete", "response.incomplete")

    def _failed(self, event: ev.TurnFailed) -> None:
        self._break_off()
        self._base["error"] = error_of(event)
        self._end("failed", "response.failed")

    def _cancelled(self, _: ev.TurnCancelled) -> None:
        self._break_off()
        self._end("cancelled", "response.incomplete")

    def _break_off(self) -> None:
        self._close_open("incomplete")
        self._withdraw_requests()

    def _withdraw_requests(self) -> None:
        """Show the calls in whose place a person is asked, unless the turn waits for the answers."""
        if self._base["status"] == "in_progress":
            for item in self._items:
                item.shown = item.shown and item.id not in self.asked
            for call in self._waiting.values():
                call.shown = True

    def _end(self, status: str, event_type: str) -> None:
        self._base["status"] = status
        self._base["usage"] = self._usage.resource()
        self._emit(event_type, response=self.response())


def render(
    record: TurnRecord, events: Iterable[ev.Event], *, ended_at: float | None = None
) -> tuple[list[StreamEvent], dict[str, Any]]:
    """Render the events a turn has.

    Args:
        ended_at: when the turn ended (Unix seconds), if it did.

    Returns:
        The stream events, and the response object after the last of them.
    """
    rendering = Rendering(record)
    rendering.ended_at = ended_at
    out = [stream_event for event in events for stream_event in rendering.feed(event)]
    return out, rendering.response()
