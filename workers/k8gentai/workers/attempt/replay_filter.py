"""Lets a turn that is run again say only what it has not said yet.

An attempt after the first, and a turn that continues another one, goes through the same events as those before it,
as far as the journal answers. What was published is not published again. Where the new attempt departs, the
item is dropped (``item.dropped``) and begun anew; what earlier attempts published and this one never came to is
dropped at the end. Messages are known again by what they say: parallel model calls may begin in another order, and
have each other's ids then. Where the new attempt drops a message to say it again in another place, nothing is put
if it stands in that place already, or in the response of an earlier turn. The questions that a turn was suspended
with, and the calls that had no result then, do not count as published to the turn that continues it, nor do
messages that were left out of that turn's response; where the answer is JSON these do, and are not said again.
Where that one comes to its end and shows nothing, it ends with what was said last before it: that is the answer.
"""

from collections.abc import Callable, Collection, Iterable
from itertools import chain

from k8gentai.agents.contract.events import (
    Event,
    Interrupt,
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
    TurnCompleted,
    TurnEnd,
    TurnSuspended,
)
from k8gentai.workers.attempt.inside import Inside
from k8gentai.workers.attempt.published_items import SaidAgain
from k8gentai.workers.attempt.published_turn import PublishedTurn


class Republisher:
    """Stands between an attempt's events and its stream.

    Args:
        before: the events of the turns that this one continues.
        published: the events of this turn's earlier attempts.
        put: takes what is new.
        refused: the calls that a person refused in this turn. A response does not show them.
        recalls: what was left out of a response as the turn was suspended is not said again.
    """

    def __init__(
        self,
        before: Iterable[Event],
        published: Iterable[Event],
        put: Callable[[Event], None],
        refused: Collection[str] = (),
        *,
        recalls: bool = True,
    ) -> None:
        self._take = put
        self._refused = set(refused)
        self._shown: set[str] = set()
        """The ids of what this turn shows by itself."""
        self._turn = PublishedTurn(before, recalls=recalls)
        self._messages: dict[str, SaidAgain] = {}
        """The messages of the new attempt, by their ids in it."""
        self._dropped: set[str] = set()
        """The ids by which messages were published that the new attempt dropped."""
        self._holders: dict[str, SaidAgain] = {}
        """The messages of the new attempt, by the ids by which they are published."""
        self._earlier = frozenset(self._turn.said)
        """The ids of the messages that the turns before show."""
        for event in published:
            self._note_shown(event)
            self._turn.note(event)
        self._unheld = dict(self._turn.said)
        """The published messages that none of the new attempt is taken for, in their order."""

    def put(self, event: Event) -> None:
        """Take the attempt's next event."""
        if isinstance(event, TextDelta | ReasoningDelta | MessageDone):
            event = event.model_copy(update={"message_id": self._name(event)})
        elif isinstance(event, ItemDropped) and event.item_id in self._messages:
            name = self._messages[event.item_id].name
            if self._stands_last(name):
                self._await_again(event.item_id)
                return
            self._dropped.add(name)
            event = event.model_copy(update={"item_id": name})
        if self._turn.was_replaced(event):
            return
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
            case ItemDropped():
                if event.item_id not in self._turn.said:
                    self._turn.items.pop(event.item_id, None)
                self._put(event)
            case _:
                if isinstance(event, TurnEnd):
                    self._drop_rest(suspended=isinstance(event, TurnSuspended))
                if isinstance(event, TurnCompleted) and not self._shown:
                    self._say_last_again()
                self._other(event)

    def keep(self, inside: Inside) -> None:
        """Keep what was published of what was done inside a call: the new attempt does not come to it, as the call
        is answered from the journal."""
        for call_id in inside.calls:
            if item := self._turn.items.get(call_id):
                item.seen = True
        for usage in inside.usage:
            self._turn.comes_again(usage)

    def _put(self, event: Event) -> None:
        self._note_shown(event)
        self._take(event)

    def _note_shown(self, event: Event) -> None:
        match event:
            case TextDelta() | MessageDone():
                self._shown.add(event.message_id)
            case ToolCallStarted() | ToolCall():
                if event.call_id not in self._refused:
                    self._shown.add(event.call_id)
            case ItemStarted() | ItemDone():
                self._shown.add(event.item["id"])
            case ItemDropped():
                self._shown.discard(event.item_id)
            case Interrupt():
                # The agent came to the call again with other arguments: the refusal was not about this one.
                self._refused.discard(event.call_id)

    def _say_last_again(self) -> None:
        names = (name for name in reversed(self._turn.said) if name not in self._turn.recalled)
        said = (item.whole for name in names if (item := self._turn.items.get(name)))
        last = next((whole for whole in said if isinstance(whole, MessageDone) and whole.text), None)
        if last is not None:
            self._put(last)

    def _name(self, event: TextDelta | ReasoningDelta | MessageDone) -> str:
        """Return the id by which the message of an event is published."""
        message = self._messages.setdefault(event.message_id, SaidAgain())
        if message.name:
            item = self._turn.items.get(message.name)
            if item is None:
                return message.name
            if message.goes_on(item, event):
                message.take(event)
                return message.name
        before = message.copy()
        message.take(event)
        name = self._published(message, message.name or event.message_id)
        if name is None:
            self._depart(message, event, before)
        elif name != message.name:
            self._exchange(message, name, before)
        return message.name

    def _published(self, message: SaidAgain, likely: str) -> str | None:
        """Find the published message that one of the new attempt is, if it is one.

        Args:
            message: the message as far as it was said again.
            likely: the id to look at first.
        """
        current = self._turn.items.get(message.name)
        # One that is taken for none yet cannot change with another.
        names = self._turn.said if current is not None else self._unheld
        for name in chain((likely,), names):
            if name not in self._turn.said or not (item := self._turn.items.get(name)):
                continue
            holder = self._holder(name, message)
            if holder is not None and (current is None or not holder.is_of(current)):
                continue
            if message.is_of(item):
                return name
        return None

    def _holder(self, name: str, message: SaidAgain) -> SaidAgain | None:
        """Return the other message of the new attempt that is published by an id."""
        holder = self._holders.get(name)
        return None if holder is message else holder

    def _hold(self, message: SaidAgain, name: str) -> None:
        """Publish a message by an id from here on."""
        if self._holders.get(message.name) is message:
            del self._holders[message.name]
            if message.name in self._turn.said:
                self._unheld[message.name] = None
        message.name = name
        self._holders[name] = message
        self._unheld.pop(name, None)

    def _depart(
        self,
        message: SaidAgain,
        event: TextDelta | ReasoningDelta | MessageDone,
        before: SaidAgain,
    ) -> None:
        """Find that a message is none of the published ones. Those that are whole may yet come: it takes an id of
        its own, and is published under it from its beginning."""
        if message.name and (self._is_open(message.name) or isinstance(event, MessageDone)):
            return
        if message.name:
            self._turn.items[message.name].said_again(None)
        name = event.message_id
        while self._holder(name, message) or not self._is_open(name):
            name += "+"
        self._hold(message, name)
        if before.reasoning.length:
            self._put(ReasoningDelta(message_id=name, delta=before.reasoning.text()))
        if before.text.length:
            self._put(TextDelta(message_id=name, delta=before.text.text()))

    def _is_open(self, name: str) -> bool:
        """Return whether no whole message was published by an id."""
        item = self._turn.items.get(name)
        return item is None or item.whole is None

    def _stands_last(self, name: str) -> bool:
        """Return whether a published message stands where it would if it were said again: behind all that the new
        attempt has said, or in another turn's response."""
        if name not in self._turn.said or name not in self._turn.items:
            return False
        others = self._holders.keys() - self._dropped - {name}
        places = {other: place for place, other in enumerate(self._turn.said)}
        return name in self._earlier or all(places.get(each, len(places)) < places[name] for each in others)

    def _await_again(self, message_id: str) -> None:
        """Have a published message be dropped at the attempt's end, unless that says it again before."""
        message = self._messages.pop(message_id)
        del self._holders[message.name]
        self._unheld[message.name] = None
        self._turn.items[message.name].said_again(None)

    def _exchange(self, message: SaidAgain, name: str, before: SaidAgain) -> None:
        """Take a message for another one than it was taken for, which its holder changes for that one."""
        holder = self._holder(name, message)
        if item := self._turn.items.get(message.name):
            item.said_again(holder)
        left = message.name
        self._hold(message, name)
        if holder is not None:
            self._hold(holder, left)
        self._turn.items[name].said_again(before)

    def _delta(self, item_id: str, event: TextDelta | ReasoningDelta | ToolCallDelta) -> None:
        item = self._turn.items.get(item_id)
        if item is None:
            self._put(event)
            return
        item.seen = True
        text = item.reasoning if isinstance(event, ReasoningDelta) else item.text
        start = text.again
        new = text.news(event.delta)
        if new is None or (new and item.whole is not None):
            self._drop(item_id)
            before = text.part(0, start)
            if isinstance(event, TextDelta) and item.reasoning.again:
                reasoning = item.reasoning.part(0, item.reasoning.again)
                self._put(ReasoningDelta(message_id=item_id, delta=reasoning))
            if isinstance(event, ToolCallDelta) and item.begun is not None:
                self._put(item.begun)
            self._put(event.model_copy(update={"delta": before + event.delta}))
        elif new:
            self._put(event.model_copy(update={"delta": new}))

    def _whole(self, item_id: str, text: str, event: MessageDone | ToolCall) -> None:
        item = self._turn.items.get(item_id)
        if item is not None:
            item.seen = True
            if item.whole == event:
                return
            if item.whole is not None or not text.startswith(item.text.text()):
                self._drop(item_id)
            else:
                item.whole = event
        self._put(event)

    def _once(self, item_id: str, event: ToolCallStarted | ToolResult) -> None:
        item = self._turn.items.get(item_id)
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
        if not self._turn.comes_again(event):
            self._put(event)

    def _drop(self, item_id: str) -> None:
        """Drop an item that was published: from here on it is a new one."""
        del self._turn.items[item_id]
        self._put(ItemDropped(item_id=item_id))

    def _drop_rest(self, *, suspended: bool) -> None:
        """Drop what the new attempt never came to, or did not come to the end of.

        Args:
            suspended: the turn goes on. Messages that the turns before it show are not to be said again then.
        """
        for item_id, item in list(self._turn.items.items()):
            if suspended and item_id in self._earlier:
                continue
            unfinished = item.whole is None and item.text.again < item.text.length
            if not item.seen or unfinished:
                self._drop(item_id)
        for item_id in self._turn.left_items():
            self._put(ItemDropped(item_id=item_id))
