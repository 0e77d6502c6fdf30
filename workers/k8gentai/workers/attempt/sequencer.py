"""Brings what an adapter, the tool boundary and the gateway say of a turn into one order.

The order is that of :mod:`k8gentai.agents.contract.events`. Frameworks differ: one runs a tool before it has
told of the model's message that asked for it, another tells of calls after the message, a third never tells of
results.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from k8gentai.agents.contract.events import (
    Event,
    ItemDropped,
    MessageDone,
    StepCompleted,
    StepStarted,
    TextDelta,
    ToolCall,
    ToolResult,
    Usage,
)
from k8gentai.workers.attempt.inside import Inside, keep_none
from k8gentai.workers.queue.record import seen_digest

_CUT_OFF = {
    "length": "max_output_tokens",
    # Mistral: no room was left in the model's context.
    "model_length": "max_output_tokens",
    # Anthropic and Gemini, by way of proxies.
    "max_tokens": "max_output_tokens",
    "model_context_window_exceeded": "max_output_tokens",
    "content_filter": "content_filter",
}
"""Finish reasons of chat completions whose answer is not whole, as reasons of an incomplete response."""

_NOT_RUN = "not run: the agent's framework or code left this tool call out"
_LEFT = "the agent stopped waiting for this tool: whether it took effect is not known"


@dataclass
class _Message:
    """A message as far as it was published."""

    pieces: list[str] = field(default_factory=list)
    is_done: bool = False


class EventOrder:
    """One attempt's events, put in order.

    Args:
        put: takes the events, in order.
        keep: keeps what earlier attempts published of what was done inside a call, though this one does not come
            to it.
        admits: returns whether the turn may have an event.
        is_of_model: returns whether a model made a call, which the adapter may still have to tell of.
        is_silent: returns whether a call may have no result of its own: it is an answer of a shape, or its tool
            runs elsewhere.
        unreadable: the arguments that are no JSON object, by the ids of the calls that have them, as the model
            wrote them: frameworks may make something else of them.
    """

    def __init__(
        self,
        put: Callable[[Event], None],
        keep: Callable[[Inside], None] = keep_none,
        *,
        admits: Callable[[Event], bool] = lambda _: True,
        is_of_model: Callable[[str], bool] = lambda _: True,
        is_silent: Callable[[str], bool] = lambda _: False,
        unreadable: Mapping[str, str] | None = None,
    ) -> None:
        self._sink = put
        self.keep = keep
        self._admits = admits
        self._is_of_model = is_of_model
        self._is_silent = is_silent
        self._unreadable = {} if unreadable is None else unreadable
        self._usage: list[Usage] = []
        self._called: dict[str, ToolCall] = {}
        """Calls that were published, by their ids."""
        self._run: set[str] = set()
        """The ids of those whose tools began."""
        self._open_calls: set[str] = set()
        """The ids of published calls whose model call goes on."""
        self._open_steps: set[str] = set()
        """The model calls under way that the adapter publishes."""
        self._answered: set[str] = set()
        self._held: defaultdict[str, list[Event]] = defaultdict(list)
        """Events from the boundary about calls that the adapter has not told of."""
        self._left_out: set[str] = set()
        """The messages that are no part of what the agent has come to so far, by their ids."""
        self._messages: dict[str, _Message] = {}
        """The messages, by their ids, in the order in which they began."""
        self.cut_off: str | None = None
        """The reason why the model's last answer is not whole, as one of the Responses API's
        ``incomplete_details``; None where it is whole."""
        self._handed: list[ToolCall] = []
        """The client's calls that are not put: a person may be asked about another beside them, and they are
        made again in the turn that goes on with the answer."""
        self._withheld: list[MessageDone] = []
        """Ends of messages that are not whole if the turn ends with them."""

    @property
    def handed_over(self) -> bool:
        """Whether the turn goes back to the client, for its tools."""
        return any(call.side == "client" for call in self._called.values())

    def from_adapter(self, event: Event) -> None:
        """Take an event the adapter yielded."""
        match event:
            case ToolCall():
                if event.call_id in self._called:
                    return
                if (unread := self._unreadable.get(event.call_id)) is not None:
                    event = event.model_copy(update={"arguments": unread})
                self._called[event.call_id] = event
                self._open_calls.add(event.call_id)
                if event.side == "client":
                    self._handed.append(event)
                    return
            case ToolResult():
                if event.call_id in self._answered or event.call_id in self._held:
                    return
                self._answered.add(event.call_id)
            case TextDelta():
                self._message(event.message_id).pieces.append(event.delta)
            case MessageDone():
                message = self._message(event.message_id)
                streamed = "".join(message.pieces)
                message.pieces, message.is_done = [event.text], True
                if self.cut_off:
                    self._withhold(event, streamed)
                    return
            case ItemDropped():
                self._called.pop(event.item_id, None)
                self._answered.discard(event.item_id)
                self._messages.pop(event.item_id, None)
                self._withheld = [done for done in self._withheld if done.message_id != event.item_id]
                self._handed = [call for call in self._handed if call.call_id != event.item_id]
            case StepStarted(kind="inference"):
                self._open_steps.add(event.step_id)
                self._release(list(self._held))
                self._put_withheld()
            case StepCompleted(kind="inference"):
                self._open_steps.discard(event.step_id)
                self._put_usage()
                if all(call.side == "client" or call.call_id in self._answered for call in self._called.values()):
                    self._put_handed()
        self._put(event)
        if isinstance(event, StepCompleted):
            ready, self._open_calls = self._open_calls, set()
            self._release([call_id for call_id in self._held if call_id in ready or not self._open_steps])

    def from_tool(self, call_id: str, event: Event) -> None:
        """Take an event the tool boundary published about a call.

        It is held while the adapter may still publish the call: not where no model made it, nor where code of the
        agent's asked the model past the framework.
        """
        if isinstance(event, StepStarted):
            self._run.add(call_id)
        self._held[call_id].append(event)
        may_be_told = call_id in self._open_calls if call_id in self._called else bool(self._open_steps)
        if not may_be_told or not self._is_of_model(call_id):
            self._release([call_id])

    def from_gateway(self, usage: Usage) -> None:
        """Take the tokens of a model call that ended."""
        self._usage.append(usage)

    def answered(self, finish_reason: str) -> None:
        """Take why a model's answer ended, before the agent sees that it did."""
        self.cut_off = _CUT_OFF.get(finish_reason.lower())

    def leave_out(self, message_id: str, is_left: bool) -> None:
        """Note whether a message is no part of what the agent has come to so far. From any thread."""
        if is_left:
            self._left_out.add(message_id)
        else:
            self._left_out.discard(message_id)

    def drop_left_out(self) -> None:
        """Drop the messages that are no part of what the agent has come to."""
        for message_id in [each for each in self._messages if each in self._left_out]:
            del self._messages[message_id]
            self._put(ItemDropped(item_id=message_id))

    def last_text(self) -> str:
        """Return the text of the message that began last, of those that hold any; empty where none does."""
        return next(reversed(self._texts().values()), "")

    def drop_all_but_last_text(self) -> None:
        """Drop the messages that hold a text, but the one that began last."""
        for message_id in list(self._texts())[:-1]:
            self._put(ItemDropped(item_id=message_id))

    def drop_texts(self, is_dropped: Callable[[str], bool]) -> None:
        """Drop the messages whose text is such a one."""
        for message_id, text in self._texts().items():
            if is_dropped(text):
                self._put(ItemDropped(item_id=message_id))

    def finish(self, *, completed: bool, suspended: bool = False) -> None:
        """Put what is still held: the turn is about to end.

        Args:
            completed: the turn ends well, so messages it began are whole; otherwise they were cut off.
            suspended: it waits for a person.
        """
        self._release(list(self._held))
        if not suspended:
            self._put_handed()
        if completed:
            self._answer_left_out()
            self._put_withheld()
            for message_id, message in self._messages.items():
                if not message.is_done:
                    self._put(MessageDone(message_id=message_id, text="".join(message.pieces)))
        self._put_usage()

    def _message(self, message_id: str) -> _Message:
        return self._messages.setdefault(message_id, _Message())

    def _texts(self) -> dict[str, str]:
        texts = {message_id: "".join(message.pieces) for message_id, message in self._messages.items()}
        return {message_id: text for message_id, text in texts.items() if text}

    def _withhold(self, done: MessageDone, streamed: str) -> None:
        """Leave a message open: the turn's end closes it, unless the agent goes on."""
        if done.text != streamed and done.text.startswith(streamed):
            self._put(TextDelta(message_id=done.message_id, delta=done.text[len(streamed) :]))
        self._withheld.append(done)

    def _put_withheld(self) -> None:
        for done in self._withheld:
            self._put(done)
        self._withheld.clear()

    def _put(self, event: Event) -> None:
        if self._admits(event):
            self._sink(event)

    def _put_run(self, call: ToolCall) -> None:
        """Put a call as it is made, also where code changed what the model wrote: that is shown no more."""
        known = self._called.get(call.call_id)
        if known is not None:
            if seen_digest(known.name, known.arguments) == seen_digest(call.name, call.arguments):
                return
            self._put(ItemDropped(item_id=call.call_id))
            call = known.model_copy(update={"name": call.name, "arguments": call.arguments})
        self._called[call.call_id] = call
        self._put(call)

    def _answer_left_out(self) -> None:
        """Put the results of the worker's calls that nobody ran: an error, as no tool did what was asked."""
        for call in self._called.values():
            if call.side == "worker" and call.call_id not in self._answered:
                silent = self._is_silent(call.call_id)
                why = _LEFT if call.call_id in self._run else _NOT_RUN
                self._put(ToolResult(call_id=call.call_id, output="" if silent else why, is_error=not silent))

    def _put_handed(self) -> None:
        for call in self._handed:
            self._put(call)
        self._handed.clear()

    def _put_usage(self) -> None:
        for usage in self._usage:
            self._put(usage)
        self._usage.clear()

    def _release(self, call_ids: list[str]) -> None:
        for call_id in call_ids:
            self._open_calls.discard(call_id)
            for event in self._held.pop(call_id):
                if isinstance(event, ToolCall):
                    self._put_run(event)
                    continue
                if isinstance(event, ToolResult):
                    if call_id in self._answered:
                        continue
                    self._answered.add(call_id)
                self._put(event)
