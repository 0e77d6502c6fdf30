"""Finds what is wrong with a turn: events that are missing, and events that are there twice.

Both sides are looked at: the turn's events as Redis keeps them, whose rules are those of
:mod:`k8gentai.agents.contract.events`, and the stream as its client read it, bit by bit over broken connections.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from k8gentai.agents.contract.events import (
    Event,
    ItemDone,
    ItemDropped,
    ItemStarted,
    MessageDone,
    ReasoningDelta,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallStarted,
    ToolResult,
    TurnAccepted,
    TurnCancelled,
    TurnCompleted,
    TurnEnd,
    TurnStarted,
    TurnSuspended,
)

STREAM_ENDS = frozenset({"response.completed", "response.incomplete", "response.failed"})
"""The last event of a Responses API stream is one of these."""

StreamEvent = dict[str, Any]


@dataclass
class Findings:
    """The faults that were found, in words for a person."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)


@dataclass
class _Item:
    """A message, tool call or other item, as far as a turn's events have told of it."""

    said: str = ""
    reasoning: str = ""
    begun: bool = False
    whole: MessageDone | ToolCall | ItemDone | None = None
    result: ToolResult | None = None


def check_events(entries: Iterable[tuple[int, Event]]) -> Findings:
    """Find what is lost or doubled in a turn's events.

    Args:
        entries: all of them, each with its ``seq``, as Redis has them.
    """
    check = _Events()
    for seq, event in entries:
        check.feed(seq, event)
    return check.close()


def check_stream(read: Sequence[StreamEvent], again: Sequence[StreamEvent]) -> Findings:
    """Find what is lost or doubled in a Responses API stream.

    Args:
        read: the events as the client got them, its reconnections included.
        again: the same stream, read once more from its start.
    """
    findings = Findings()
    for name, events in (("the client's stream", read), ("the stream read again", again)):
        _check_numbers(name, events, findings)
    numbered = {event["sequence_number"]: event for event in read}
    for event in again:
        number = event["sequence_number"]
        if number not in numbered:
            findings.lost.append(f"the client never got {event['type']} ({number})")
        elif numbered.pop(number) != event:
            findings.lost.append(f"{event['type']} ({number}) reads otherwise the second time")
    findings.lost += [f"{event['type']} ({number}) is not there any more" for number, event in numbered.items()]
    return findings


def check_kept(read: Sequence[StreamEvent], response: dict[str, Any]) -> Findings:
    """Find what is lost or doubled of a turn whose events are kept no longer.

    Args:
        read: the turn's stream as the client got it, to the end.
        response: the response as it is kept.
    """
    findings = Findings()
    _check_numbers("the client's stream", read, findings)
    if response["output"] != read[-1]["response"]["output"]:
        findings.lost.append("the output that is kept is another than the client's")
    return findings


def _check_numbers(name: str, events: Sequence[StreamEvent], findings: Findings) -> None:
    following = 0
    for event in events:
        number = event["sequence_number"]
        if number > following:
            findings.lost.append(f"{name} lacks numbers {following} to {number - 1}")
        elif number < following:
            findings.doubled.append(f"{name} has {event['type']} ({number}) twice")
        following = max(following, number + 1)
    ends = [number for number, event in enumerate(events) if event["type"] in STREAM_ENDS]
    if ends and ends[0] != len(events) - 1:
        findings.doubled.append(f"{name} goes on after its end")


class _Events:
    """Goes through a turn's events once."""

    def __init__(self) -> None:
        self._findings = Findings()
        self._items: dict[str, _Item] = {}
        self._next_seq = 1
        self._attempt = 0
        self._end: Event | None = None

    def feed(self, seq: int, event: Event) -> None:
        """Take the next event."""
        if seq > self._next_seq:
            self._lost(f"events {self._next_seq} to {seq - 1}")
        elif seq < self._next_seq:
            self._doubled(f"event {seq}")
        if seq == 1 and not isinstance(event, TurnAccepted):
            self._lost("turn.accepted")
        self._next_seq = max(self._next_seq, seq + 1)
        if isinstance(self._end, TurnSuspended) and isinstance(event, TurnCancelled):
            self._end = event
        elif self._end is not None:
            self._doubled(f"{event.type} after the end")
        elif isinstance(event, TurnEnd):
            self._end = event
        elif isinstance(event, TurnStarted):
            if event.attempt <= self._attempt:
                self._doubled(f"attempt {event.attempt}")
            self._attempt = event.attempt
        else:
            self._item_event(event)

    def close(self) -> Findings:
        """Return what was found. A turn without an end is not looked at for what it has yet to say."""
        if isinstance(self._end, TurnCompleted):
            for item_id, item in self._items.items():
                self._check_complete(item_id, item)
        return self._findings

    def _item_event(self, event: Event) -> None:
        match event:
            case ItemDropped():
                self._items.pop(event.item_id, None)
            case TextDelta() | ReasoningDelta():
                self._delta(event.message_id, event)
            case ToolCallDelta():
                self._delta(event.call_id, event)
            case MessageDone():
                self._whole(event.message_id, event)
                item = self._item(event.message_id)
                self._compare(f"the text of {event.message_id}", item.said, event.text)
                if event.reasoning:
                    self._compare(f"the reasoning of {event.message_id}", item.reasoning, event.reasoning)
            case ToolCall():
                self._whole(event.call_id, event)
                said = self._item(event.call_id).said
                if not _same_json(said, event.arguments):
                    self._compare(f"the arguments of {event.call_id}", said, event.arguments)
            case ToolCallStarted():
                self._begun(event.call_id, event)
            case ToolResult():
                self._result(event)
            case ItemStarted():
                self._begun(event.item["id"], event)
            case ItemDone():
                self._whole(event.item["id"], event)

    def _delta(self, item_id: str, event: TextDelta | ReasoningDelta | ToolCallDelta) -> None:
        item = self._item(item_id)
        if item.whole is not None:
            self._doubled(f"{event.type} of {item_id}, which was whole")
        if isinstance(event, ReasoningDelta):
            item.reasoning += event.delta
        else:
            item.said += event.delta

    def _begun(self, item_id: str, event: ToolCallStarted | ItemStarted) -> None:
        item = self._item(item_id)
        if item.begun or item.whole is not None:
            self._doubled(f"{event.type} of {item_id}")
        item.begun = True

    def _whole(self, item_id: str, event: MessageDone | ToolCall | ItemDone) -> None:
        item = self._item(item_id)
        if item.whole is not None:
            self._doubled(f"{event.type} of {item_id}")
        item.whole = event

    def _result(self, event: ToolResult) -> None:
        item = self._item(event.call_id)
        if item.result is not None:
            self._doubled(f"{event.type} of {event.call_id}")
        if item.whole is None:
            self._lost(f"tool.call of {event.call_id}, which has a result")
        item.result = event

    def _compare(self, what: str, said: str, whole: str) -> None:
        """Compare what was said in pieces with the whole."""
        if not said or said == whole:
            return
        if whole.startswith(said):
            self._lost(f"the end of {what}")
        else:
            self._doubled(f"pieces of {what}")

    def _check_complete(self, item_id: str, item: _Item) -> None:
        if item.whole is None:
            self._lost(f"the end of {item_id}")
        elif isinstance(item.whole, ToolCall) and item.whole.side == "worker" and item.result is None:
            self._lost(f"tool.result of {item_id}")

    def _item(self, item_id: str) -> _Item:
        return self._items.setdefault(item_id, _Item())

    def _lost(self, what: str) -> None:
        self._findings.lost.append(what)

    def _doubled(self, what: str) -> None:
        self._findings.doubled.append(what)


def _same_json(one: str, other: str) -> bool:
    try:
        return bool(json.loads(one) == json.loads(other))
    except ValueError:
        return False
