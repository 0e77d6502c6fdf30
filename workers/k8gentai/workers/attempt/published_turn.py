"""The events that a turn published before a new attempt, as far as that may come to them again."""

from collections import Counter
from collections.abc import Iterable

from k8gentai.agents.contract.events import (
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
    TurnStarted,
    TurnSuspended,
    request_item,
)
from k8gentai.workers.attempt.published_items import PublishedItem


class PublishedTurn:
    """Sorts a turn's published events by what is said with them.

    Args:
        before: the events of the turns that this one continues.
        recalls: messages that were left out of a response as the turn was suspended count as published.
    """

    def __init__(self, before: Iterable[Event], *, recalls: bool) -> None:
        self.items: dict[str, PublishedItem] = {}
        """Messages and tool calls, by their ids."""
        self.said: dict[str, None] = {}
        """The ids of the messages, in their order."""
        self.recalled: set[str] = set()
        """Messages that were left out of a response as the turn was suspended. None is what was said last."""
        self._others: Counter[str] = Counter()
        """The number of times that each event without a message or call of its own was published, by its JSON."""
        self._whole_items: dict[str, str] = {}
        """Ids of items without a word of their own, by the JSON of their events."""
        self._asked: dict[str, str] = {}
        """The JSON of events that ask a person, by the ids of the requests."""
        self._replaced: dict[str, ToolCall] = {}
        """Calls that were published and dropped, to be shown otherwise or with another result, by their ids."""
        self._replaced_results: dict[str, ToolResult] = {}
        """Results of calls that were dropped, as the calls are shown with others, by the calls' ids."""
        left_out: dict[str, PublishedItem] = {}
        for event in before:
            if isinstance(event, TurnSuspended):
                self._forget_open_calls()
                self._recall(left_out)
            elif not isinstance(event, Interrupt) and not _lists_tools(event):
                if recalls and isinstance(event, ItemDropped) and event.item_id in self.said:
                    left_out[event.item_id] = self.items[event.item_id]
                elif not isinstance(event, ItemDropped):
                    left_out.clear()
                self.note(event)

    def note(self, event: Event) -> None:
        """Take the next event that was published."""
        if isinstance(event, TextDelta | ReasoningDelta | MessageDone):
            self.said[event.message_id] = None
        match event:
            case TextDelta():
                self._item(event.message_id).text.add(event.delta)
            case ReasoningDelta():
                self._item(event.message_id).reasoning.add(event.delta)
            case ToolCallDelta():
                self._item(event.call_id).text.add(event.delta)
            case MessageDone():
                item = self._item(event.message_id)
                item.whole = event
                if not item.text.length:
                    item.text.add(event.text)
                if not item.reasoning.length:
                    item.reasoning.add(event.reasoning)
            case ToolCall():
                self._item(event.call_id).whole = event
            case ToolCallStarted():
                self._item(event.call_id).begun = event
            case ToolResult():
                self._item(event.call_id).result = event
            case ItemDropped():
                self._drop(event.item_id)
            case TurnAccepted() | TurnStarted():
                pass
            case _:
                event_json = _json(event)
                self._others[event_json] += 1
                if isinstance(event, ItemStarted | ItemDone):
                    self._whole_items[event_json] = event.item["id"]
                elif isinstance(event, Interrupt):
                    self._asked[request_item(event.call_id)] = event_json

    def was_replaced(self, event: Event) -> bool:
        """Return whether an event is of a call that was published, and dropped for another or with its result."""
        match event:
            case ToolCallStarted() | ToolCallDelta():
                return event.call_id in self._replaced
            case ToolCall():
                return self._replaced.get(event.call_id) == event
            case ToolResult():
                return self._replaced_results.get(event.call_id) == event
            case ItemDropped():
                call, result = (
                    known.pop(event.item_id, None) for known in (self._replaced, self._replaced_results)
                )
                return call is not None or result is not None
        return False

    def comes_again(self, event: Event) -> bool:
        """Return whether an event with no message or call of its own was published. Counts it as come again."""
        event_json = _json(event)
        was_published = self._others[event_json] > 0
        if was_published:
            self._others[event_json] -= 1
        return was_published

    def left_items(self) -> set[str]:
        """Return the ids of the items without a word of their own whose events have not all come again."""
        return {item_id for event_json, item_id in self._whole_items.items() if self._others[event_json] > 0}

    def _drop(self, item_id: str) -> None:
        dropped = self.items.pop(item_id, None)
        self.said.pop(item_id, None)
        if dropped is not None and isinstance(dropped.whole, ToolCall):
            self._replaced[item_id] = dropped.whole
            if dropped.result is not None:
                self._replaced_results[item_id] = dropped.result
        if (asked := self._asked.pop(item_id, None)) is not None:
            # Should it be asked again, it has to be shown again.
            self._others[asked] -= 1
        for event_json, whole_id in list(self._whole_items.items()):
            if whole_id == item_id:
                del self._whole_items[event_json]
                del self._others[event_json]

    def _forget_open_calls(self) -> None:
        """Forget the calls that had no result when the turn was suspended: they were not shown."""
        for item_id, item in list(self.items.items()):
            if item.result is None and (item.begun is not None or isinstance(item.whole, ToolCall)):
                del self.items[item_id]
        self._replaced = {item_id: call for item_id, call in self._replaced.items() if item_id in self.items}

    def _recall(self, left_out: dict[str, PublishedItem]) -> None:
        """Note the messages anew that were dropped as the turn was suspended. They were streamed in whole."""
        whole = {item_id: item for item_id, item in left_out.items() if isinstance(item.whole, MessageDone)}
        self.items |= whole
        self.said = {**dict.fromkeys(whole), **self.said}
        self.recalled.update(whole)
        left_out.clear()

    def _item(self, item_id: str) -> PublishedItem:
        return self.items.setdefault(item_id, PublishedItem())


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
