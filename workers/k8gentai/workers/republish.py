"""Lets a turn that is run again say only what it has not said yet.

An attempt after the first, and a turn that continues another one, goes through the same events as those before it,
as far as the journal answers. What was published is not published again. Where the new attempt departs, the
item is dropped (``item.dropped``) and begun anew; what earlier attempts published and this one never came to is
dropped at the end. Messages are known again by what they say: parallel model calls may begin in another order, and
have each other's ids then. The questions that a turn was suspended with, and the calls that had no result then, do
not count as published to the turn that continues it.
"""

from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, replace

from k8gentai.agents.events import (
    Event,
    Interrupt,
    ItemDone,
    ItemDropped,
    ItemProgress,
    ItemStarted,
    MessageDone,
    ReasoningDelta,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallStarted,
    ToolResult,
    TurnAccepted,
    TurnEnd,
    TurnStarted,
    TurnSuspended,
)


@dataclass
class _Text:
    """A text that was published in pieces, and how much of it the new attempt has said again."""

    said: str = ""
    again: int = 0

    def fits(self, text: str, *, whole: bool) -> bool:
        """Return whether a text that is being said again may be this one.

        Args:
            text: as far as it was said again.
            whole: no more of this one will be published.
        """
        return self.said.startswith(text) or (not whole and text.startswith(self.said))

    def news(self, piece: str) -> str | None:
        """Return what of a piece is new: nothing, its end, or None where it departs from what was said."""
        old = self.said[self.again : self.again + len(piece)]
        if not piece.startswith(old):
            return None
        self.again += len(piece)
        new = piece[len(old) :]
        self.said += new
        return new


class _Item:
    """What was published of one message or tool call."""

    def __init__(self) -> None:
        self.text = _Text()
        self.reasoning = _Text()
        self.begun: ToolCallStarted | None = None
        self.whole: MessageDone | ToolCall | None = None
        self.result: ToolResult | None = None
        self.seen = False
        """Whether the new attempt has come to it."""

    def said_again(self, message: "_Again | None") -> None:
        """Note how far a message of the new attempt has said it again."""
        self.seen = message is not None
        self.text.again = len(message.text) if message else 0
        self.reasoning.again = len(message.reasoning) if message else 0


@dataclass
class _Again:
    """A message of the new attempt."""

    name: str = ""
    """The id by which it is published."""
    text: str = ""
    reasoning: str = ""

    def is_of(self, item: _Item) -> bool:
        """Return whether what it says so far is what a published message says."""
        whole = item.whole is not None
        return item.text.fits(self.text, whole=whole) and item.reasoning.fits(self.reasoning, whole=whole)


class Republisher:
    """Stands between an attempt's events and its stream.

    Args:
        before: the events of the turns that this one continues.
        published: the events of this turn's earlier attempts.
        put: takes what is new.
    """

    def __init__(self, before: Iterable[Event], published: Iterable[Event], put: Callable[[Event], None]) -> None:
        self._put = put
        self._items: dict[str, _Item] = {}
        self._said: set[str] = set()
        """The ids of the messages that were published."""
        self._messages: dict[str, _Again] = {}
        """The messages of the new attempt, by their ids in it."""
        self._others: Counter[str] = Counter()
        self._whole_items: dict[str, str] = {}
        """Ids of items without a word of their own, by the JSON of their events."""
        for event in before:
            if isinstance(event, TurnSuspended):
                self._forget_open_calls()
            elif not isinstance(event, Interrupt) and not _lists_tools(event):
                self._note(event)
        for event in published:
            self._note(event)

    def put(self, event: Event) -> None:
        """Take the attempt's next event."""
        if isinstance(event, TextDelta | ReasoningDelta | MessageDone):
            event = event.model_copy(update={"message_id": self._name(event)})
        elif isinstance(event, ItemDropped) and event.item_id in self._messages:
            event = event.model_copy(update={"item_id": self._messages[event.item_id].name})
        match event:
            case TextDelta() | ReasoningDelta():
                self._delta(event.message_id, event)
            case ToolCallDelta():
                self._delta(event.call_id, event)
            case MessageDone():
                self._whole(event.message_id, event.text, event)
            case ToolCall():
                self._whole(event.call_id, event.arguments, event)
            case ToolCallStarted():
                self._once(event.call_id, event)
            case ToolResult():
                self._once(event.call_id, event)
            case _:
                if isinstance(event, TurnEnd):
                    self._drop_rest()
                self._other(event)

    def _note(self, event: Event) -> None:
        if isinstance(event, TextDelta | ReasoningDelta | MessageDone):
            self._said.add(event.message_id)
        match event:
            case TextDelta():
                self._item(event.message_id).text.said += event.delta
            case ReasoningDelta():
                self._item(event.message_id).reasoning.said += event.delta
            case ToolCallDelta():
                self._item(event.call_id).text.said += event.delta
            case MessageDone():
                item = self._item(event.message_id)
                item.whole = event
                item.text.said = item.text.said or event.text
                item.reasoning.said = item.reasoning.said or event.reasoning
            case ToolCall():
                self._item(event.call_id).whole = event
            case ToolCallStarted():
                self._item(event.call_id).begun = event
            case ToolResult():
                self._item(event.call_id).result = event
            case ItemDropped():
                self._items.pop(event.item_id, None)
                for event_json, item_id in list(self._whole_items.items()):
                    if item_id == event.item_id:
                        del self._whole_items[event_json]
                        del self._others[event_json]
            case TurnAccepted() | TurnStarted():
                pass
            case _:
                event_json = _json(event)
                self._others[event_json] += 1
                if isinstance(event, ItemStarted | ItemDone):
                    self._whole_items[event_json] = event.item["id"]

    def _forget_open_calls(self) -> None:
        """Forget the calls that had no result when the turn was suspended: they were not shown."""
        for item_id, item in list(self._items.items()):
            if item.result is None and (item.begun is not None or isinstance(item.whole, ToolCall)):
                del self._items[item_id]

    def _name(self, event: TextDelta | ReasoningDelta | MessageDone) -> str:
        """Return the id by which the message of an event is published."""
        message = self._messages.setdefault(event.message_id, _Again())
        if message.name and message.name not in self._items:
            return message.name
        before = replace(message)
        match event:
            case TextDelta():
                message.text += event.delta
            case ReasoningDelta():
                message.reasoning += event.delta
            case MessageDone():
                message.text, message.reasoning = event.text, event.reasoning
        holders = {other.name: other for other in self._messages.values() if other is not message}
        name = self._published(message, message.name or event.message_id, holders)
        if name is None:
            self._depart(message, event, before, holders)
        elif name != message.name:
            self._exchange(message, name, holders.get(name), before)
        return message.name

    def _published(self, message: _Again, likely: str, holders: Mapping[str, _Again]) -> str | None:
        """Find the published message that one of the new attempt is, if it is one.

        Args:
            message: as far as it was said again.
            likely: the id to look at first.
            holders: the other messages of the new attempt, by what they are taken for.
        """
        current = self._items.get(message.name)
        for name in (likely, *self._items):
            if name not in self._said or not (item := self._items.get(name)) or not message.is_of(item):
                continue
            holder = holders.get(name)
            if holder is None or (current is not None and holder.is_of(current)):
                return name
        return None

    def _depart(
        self,
        message: _Again,
        event: TextDelta | ReasoningDelta | MessageDone,
        before: _Again,
        holders: Container[str],
    ) -> None:
        """Find that a message is none of the published ones. Those that are whole may yet come: it takes an id of
        its own, and is published under it from its beginning."""
        if message.name and (self._is_open(message.name) or isinstance(event, MessageDone)):
            return
        if message.name:
            self._items[message.name].said_again(None)
        name = event.message_id
        while name in holders or not self._is_open(name):
            name += "+"
        message.name = name
        if before.reasoning:
            self._put(ReasoningDelta(message_id=name, delta=before.reasoning))
        if before.text:
            self._put(TextDelta(message_id=name, delta=before.text))

    def _is_open(self, name: str) -> bool:
        """Return whether no whole message was published by an id."""
        item = self._items.get(name)
        return item is None or item.whole is None

    def _exchange(self, message: _Again, name: str, holder: _Again | None, before: _Again) -> None:
        """Take a message for another one than it was taken for, which its holder changes for that one."""
        if item := self._items.get(message.name):
            item.said_again(holder)
        if holder is not None:
            holder.name = message.name
        self._items[name].said_again(before)
        message.name = name

    def _item(self, item_id: str) -> _Item:
        return self._items.setdefault(item_id, _Item())

    def _delta(self, item_id: str, event: TextDelta | ReasoningDelta | ToolCallDelta) -> None:
        item = self._items.get(item_id)
        if item is None:
            self._put(event)
            return
        item.seen = True
        text = item.reasoning if isinstance(event, ReasoningDelta) else item.text
        before = text.said[: text.again]
        new = text.news(event.delta)
        if new is None or (new and item.whole is not None):
            self._drop(item_id)
            if isinstance(event, TextDelta) and item.reasoning.again:
                self._put(ReasoningDelta(message_id=item_id, delta=item.reasoning.said[: item.reasoning.again]))
            if isinstance(event, ToolCallDelta) and item.begun is not None:
                self._put(item.begun)
            self._put(event.model_copy(update={"delta": before + event.delta}))
        elif new:
            self._put(event.model_copy(update={"delta": new}))

    def _whole(self, item_id: str, text: str, event: MessageDone | ToolCall) -> None:
        item = self._items.get(item_id)
        if item is not None:
            item.seen = True
            if item.whole == event:
                return
            if item.whole is not None or not text.startswith(item.text.said):
                self._drop(item_id)
            else:
                item.whole = event
        self._put(event)

    def _once(self, item_id: str, event: ToolCallStarted | ToolResult) -> None:
        item = self._items.get(item_id)
        if item is None:
            self._put(event)
            return
        item.seen = True
        known = item.begun if isinstance(event, ToolCallStarted) else item.result
        if known == event:
            return
        if known is not None or (isinstance(event, ToolCallStarted) and item.whole is not None):
            self._drop(item_id)
            if isinstance(event, ToolResult) and item.whole is not None:
                self._put(item.whole)
        elif isinstance(event, ToolResult):
            item.result = event
        else:
            item.begun = event
        self._put(event)

    def _other(self, event: Event) -> None:
        event_json = _json(event)
        if self._others[event_json] > 0:
            self._others[event_json] -= 1
        else:
            self._put(event)

    def _drop(self, item_id: str) -> None:
        """From here on the item is a new one."""
        del self._items[item_id]
        self._put(ItemDropped(item_id=item_id))

    def _drop_rest(self) -> None:
        """Drop what the new attempt never came to, or did not come to the end of."""
        for item_id, item in list(self._items.items()):
            unfinished = item.whole is None and item.text.again < len(item.text.said)
            if not item.seen or unfinished:
                self._drop(item_id)
        left = {item_id for event_json, item_id in self._whole_items.items() if self._others[event_json] > 0}
        for item_id in left:
            self._put(ItemDropped(item_id=item_id))


def _lists_tools(event: Event) -> bool:
    """Return whether it tells what tools a server has, which each turn does for itself."""
    match event:
        case ItemStarted() | ItemDone():
            return bool(event.item["type"] == "mcp_list_tools")
        case ItemProgress():
            return str(event.event["type"]).startswith("response.mcp_list_tools.")
    return False


def _json(event: Event) -> str:
    """Return the event without its time, which is another whenever it comes again."""
    return event.model_dump_json(exclude={"at"})
