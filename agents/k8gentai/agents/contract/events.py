"""The event vocabulary: what a turn tells the world while it runs.

Every turn is a sequence of these events. A position in that sequence, ``seq``, is given when an event is
appended to the turn's stream (the first is 1); it is the cursor a reader resumes from and is not part of
the event. Adapters and the harness write events; renderers turn them into each API's own shape.

Writers are strict: an event is made of the fields below and no others. Readers are lenient, as a later release
may have written what they read: :func:`parse_event` leaves out fields that this release does not know, and an
event of a type that it does not know is an :class:`UnknownEvent`, which readers skip.

The order within one model call is: ``step.started``, deltas, ``tool.call`` for each call,
``message.done`` where there was text, ``usage``, ``step.completed``.
"""

import json
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from k8gentai.agents.text.json_text import ResultText
from k8gentai.agents.text.utf8 import JsonObject, Text

StepKind = Literal["inference", "tool"]
"""The kind of a step: one model call, or one tool call."""

ToolSide = Literal["worker", "client"]
"""The side that runs a tool: our worker, or the client that sent the tool with its request."""

CallItem = Literal["mcp_call", "file_search_call", "web_search_call"]
"""The output item, in the Responses API's words, that a call of a worker's tool shows as."""


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class UnknownEvent(BaseModel):
    """An event of a type that this release does not know. No writer makes one, and readers skip it."""

    model_config = ConfigDict(frozen=True)

    type: str


class TurnAccepted(_Event):
    """The turn is kept and queued. Written in the same step that accepts it."""

    type: Literal["turn.accepted"] = "turn.accepted"


class TurnStarted(_Event):
    """A worker runs the turn. With ``attempt`` above 1 it goes on from where the one before left off."""

    type: Literal["turn.started"] = "turn.started"
    attempt: int
    worker: Text


class StepStarted(_Event):
    """A model call or a tool call began."""

    type: Literal["step.started"] = "step.started"
    step_id: Text
    kind: StepKind
    name: Text | None = None
    """The inner agent or graph node the step belongs to, where the framework has one."""
    at: float | None = None
    """Unix time in seconds, written with the event."""


class StepCompleted(_Event):
    """A model call or a tool call ended, well or not."""

    type: Literal["step.completed"] = "step.completed"
    step_id: Text
    kind: StepKind
    at: float | None = None
    """Unix time in seconds, written with the event."""


class TextDelta(_Event):
    """A piece of an answer's text, in order within its ``message_id``."""

    type: Literal["text.delta"] = "text.delta"
    message_id: Text
    delta: Text
    logprobs: list[JsonObject] = Field(default_factory=list)
    """The log probabilities of its tokens, where the request asks for them, in Responses API shape."""


class ReasoningDelta(_Event):
    """A piece of the model's reasoning, in order within its ``message_id``."""

    type: Literal["reasoning.delta"] = "reasoning.delta"
    message_id: Text
    delta: Text


class ToolCallStarted(_Event):
    """The model began to name a tool. Optional: ``tool.call`` alone is enough."""

    type: Literal["tool.call.started"] = "tool.call.started"
    call_id: Text
    name: Text
    side: ToolSide = "worker"


class ToolCallDelta(_Event):
    """A piece of the call's arguments (JSON text), in order. Optional."""

    type: Literal["tool.call.delta"] = "tool.call.delta"
    call_id: Text
    delta: Text


class ToolCall(_Event):
    """The whole call. ``arguments`` is JSON text, as the model wrote it."""

    type: Literal["tool.call"] = "tool.call"
    call_id: Text
    name: Text
    arguments: Text
    side: ToolSide = "worker"
    server_label: Text = ""
    """The label of the MCP server that has the tool; empty for a tool of the agent's own code."""
    shown_as: CallItem = "mcp_call"


class ToolResult(_Event):
    """The result of a tool, or the error that the model is shown in its place."""

    type: Literal["tool.result"] = "tool.result"
    call_id: Text
    output: ResultText
    is_error: bool = False
    results: list[JsonObject] = Field(default_factory=list)
    """The passages that a file search found, as the ``results`` of its item."""


class MessageDone(_Event):
    """The message is whole. ``text`` is all of it, so a reader that missed deltas still has it."""

    type: Literal["message.done"] = "message.done"
    message_id: Text
    text: Text
    reasoning: Text = ""
    annotations: list[JsonObject] = Field(default_factory=list)
    """Citations in Responses API shape."""
    logprobs: list[JsonObject] = Field(default_factory=list)
    """The log probabilities of all its deltas."""


class ItemStarted(_Event):
    """An output item that has no word of its own here (a web search, a list of MCP tools, …), in Responses
    API shape, as it looks when it begins."""

    type: Literal["item.started"] = "item.started"
    item: JsonObject


class ItemProgress(_Event):
    """A Responses stream event about such an item, without ``output_index`` and ``sequence_number``."""

    type: Literal["item.progress"] = "item.progress"
    item_id: Text
    event: JsonObject


class ItemDone(_Event):
    """Such an item as it looks at its end."""

    type: Literal["item.done"] = "item.done"
    item: JsonObject


class ItemDropped(_Event):
    """A message, tool call or other item that no longer counts: the turn was run again and took another way.

    ``item_id`` is the ``message_id``, ``call_id`` or item id of its events; a later event with the same one
    begins a new item."""

    type: Literal["item.dropped"] = "item.dropped"
    item_id: Text


class Usage(_Event):
    """Tokens of one model call, as the model reported them."""

    type: Literal["usage"] = "usage"
    model: Text
    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0


class Interrupt(_Event):
    """The turn waits for a person's decision about this call."""

    type: Literal["interrupt"] = "interrupt"
    call_id: Text
    name: Text
    arguments: Text
    server_label: Text = ""
    waiting: list[Text] = Field(default_factory=list)
    """Ids of the tool calls that ask this while they run. They begin again when there is an answer."""


class _End(_Event):
    at: float | None = Field(default=None, exclude=True)
    """The time at which the turn ended, Redis' Unix time in seconds. It stands beside the event's JSON in the
    stream, as readers of earlier releases take no field that they do not know, and is None where such a release
    wrote the event."""


class TurnCompleted(_End):
    """The agent came to its answer."""

    type: Literal["turn.completed"] = "turn.completed"


class TurnIncomplete(_End):
    """The turn ended early but well. ``reason`` is one of the Responses API's ``incomplete_details``."""

    type: Literal["turn.incomplete"] = "turn.incomplete"
    reason: Text


class TurnFailed(_End):
    """The turn ended in an error. ``message`` is for a person and carries no stack trace and no secret."""

    type: Literal["turn.failed"] = "turn.failed"
    code: Text
    message: Text


class TurnSuspended(_End):
    """The turn is parked until its interrupts are answered: a turn that continues it runs its agent again."""

    type: Literal["turn.suspended"] = "turn.suspended"
    expires_at: float
    """Unix time in seconds. A decision that comes later counts as a denial."""


class TurnCancelled(_End):
    """The turn was cancelled, by a client or with the turn that asked for it."""

    type: Literal["turn.cancelled"] = "turn.cancelled"


TurnEnd = TurnCompleted | TurnIncomplete | TurnFailed | TurnSuspended | TurnCancelled
"""The last event of a turn's stream."""

Event = Annotated[
    TurnAccepted
    | TurnStarted
    | StepStarted
    | StepCompleted
    | TextDelta
    | ReasoningDelta
    | ToolCallStarted
    | ToolCallDelta
    | ToolCall
    | ToolResult
    | MessageDone
    | ItemStarted
    | ItemProgress
    | ItemDone
    | ItemDropped
    | Usage
    | Interrupt
    | TurnEnd,
    Field(discriminator="type"),
]


def request_item(call_id: str) -> str:
    """Return the id by which the request that an :class:`Interrupt` of this call makes is dropped, once the agent
    waits for the decision no more."""
    return f"asked-{call_id}"


def tool_step(call_id: str) -> str:
    """Return the ``step_id`` of the step that runs this call's tool."""
    return f"tool-{call_id}"


def size_of(event: Event) -> int:
    """About how many bytes an event has: those of its texts and items, not of its fields' names."""
    return sum(map(_bytes, vars(event).values()))


def _bytes(value: object) -> int:
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode(errors="surrogatepass"))
    return len(json.dumps(value)) if isinstance(value, dict | list) and value else 0


_ADAPTER: TypeAdapter[Event] = TypeAdapter(Event)


def parse_event(data: bytes | str, at: float | None = None) -> Event | UnknownEvent:
    """Read one event from its JSON, leaving out fields that this release does not know.

    Args:
        data: the event.
        at: when it was appended, where it ends its turn and that is known (Unix time in seconds).

    Returns:
        The event; an :class:`UnknownEvent` where this release does not know its type.

    Raises:
        pydantic.ValidationError: it is no event, or one of a known type lacks a field.
    """
    try:
        event = _ADAPTER.validate_json(data, extra="ignore")
    except ValidationError as error:
        if error.errors(include_url=False)[0]["type"] != "union_tag_invalid":
            raise
        return UnknownEvent.model_validate_json(data)
    return event if at is None else event.model_copy(update={"at": at})


def known(events: Iterable[Event | UnknownEvent]) -> list[Event]:
    """Return those events whose type this release knows."""
    return [event for event in events if not isinstance(event, UnknownEvent)]
