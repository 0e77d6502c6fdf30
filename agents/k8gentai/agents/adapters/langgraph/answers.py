"""Holds what was published of a graph's words against the state of the graph, which says what its answer is.

What a model says is published while it says it, before it is known whether the state will have it, and where. A
message of the state that nobody published is published when the state has it; what stands out of the state's order
is dropped and said again in its place; what was published and is no part of the final state was said on the way,
and is dropped from the turn's answer.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import (
    AIMessage,
    AnyMessage,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    ToolMessage,
    convert_to_messages,
)
from langgraph.constants import END

from k8gentai.agents.adapters.base.answer_text import answer_text, same_answer
from k8gentai.agents.adapters.langgraph.content import text_and_reasoning
from k8gentai.agents.contract.events import Event, ItemDropped, MessageDone, ReasoningDelta, TextDelta

_KEY = "messages"
_STRUCTURED = "structured_response"


@dataclass
class Published:
    """A message that was published.

    Attributes:
        message_id: the id of the message in the turn's events.
        text: all of it.
        ids: the ids that LangChain knows it by.
        place: tells which of two messages is shown first.
        reasoning: all of it.
        task: the task of the graph in which it was said, with those around it, as LangGraph names them.
    """

    message_id: str
    text: str
    ids: set[str]
    place: int
    reasoning: str = ""
    task: str = ""


class Answers:
    """The answer of one run of a graph.

    Args:
        published: the messages published so far; those of models come in while the graph runs.
        new_message_id: makes the id of a message.
        new_place: makes the place of a message that is shown after all others.
        publish: takes each event.
        publish_calls: publishes the tool calls of a message that no model call made.
    """

    def __init__(
        self,
        published: list[Published],
        new_message_id: Callable[[], str],
        new_place: Callable[[], int],
        publish: Callable[[Event], None],
        publish_calls: Callable[[AIMessage], None],
    ) -> None:
        self._published = published
        self._new_message_id = new_message_id
        self._new_place = new_place
        self._publish = publish
        self._publish_calls = publish_calls
        self._given: dict[tuple[str, ...], set[object]] = {}
        """The messages in each graph's state when it began or was last rewritten, by the graph's namespace."""
        self._anew: dict[tuple[str, ...], set[object]] = {}
        """The messages that a rewritten state began with, by the graph's namespace: they are of before, and no
        answer."""
        self._begun: set[tuple[str, ...]] = set()
        """The graphs whose states had what they began with."""
        self._final: Any = None

    def begin(self, messages: Iterable[BaseMessage]) -> None:
        """Note the messages that the graph is given."""
        self._given[()] = {_name(message) for message in messages}

    def take(self, namespace: tuple[str, ...], state: Any) -> None:
        """Publish what is new in the state of the graph or of one of its subgraphs, in its order."""
        if not namespace:
            self._final = state
        if namespace not in self._given:
            self._given[namespace] = {_name(message) for message in messages_of(state)}
            return
        if namespace in self._begun and not _has(state, self._given[namespace]):
            self._write_anew(namespace, messages_of(state))
        elif _has(state, self._given[namespace]):
            self._begun.add(namespace)
        self._say_in_order(self._said(namespace, state), "|".join(namespace))

    def finish(self, outputs: Iterable[str]) -> None:
        """Publish what the final state has beyond what was published, and drop what it does not have.

        Args:
            outputs: the names of the state's fields that are the graph's output.
        """
        outputs = list(outputs)
        final = _output(self._final, outputs)
        structured = _field(final, _STRUCTURED)
        if structured is not None:
            self._be(answer_text(structured))
            return
        said = self._said((), final)
        spoken = [message for message in said if _speaks(message)]
        extra = self._say_in_order(said)
        last = text_and_reasoning(said[-1])[0] if said else ""
        if any(text_and_reasoning(message)[0] for message in spoken):
            self._drop(extra)
            if isinstance(said[-1], ToolMessage) and last:
                # A tool that returns directly: the graph ends with its result.
                self._say_text(last)
        elif answer := last or _other_output(final, outputs):
            self._be(answer)

    def _write_anew(self, namespace: tuple[str, ...], messages: list[AnyMessage]) -> None:
        """Note what a node wrote in place of a graph's conversation: only the last of that is new, and what the
        turn has said before."""
        if messages:
            before, _ = self._pairs(list(messages[:-1]))
            old = {_name(message) for message, found in before if found is None}
            self._anew[namespace] = old
            self._given[namespace] = {_name(message) for message in messages}

    def _said(self, namespace: tuple[str, ...], state: Any) -> list[BaseMessage]:
        """Return the messages of a graph's state that are of this turn."""
        old = self._anew.get(namespace)
        if old is None:
            return _new(state, self._given[namespace])
        return [message for message in messages_of(state) if _name(message) not in old]

    def _say_in_order(self, said: list[BaseMessage], task: str = "") -> list[Published]:
        """Publish the messages of a state that were not published, and say again those that stand out of its
        order: what is said now comes last.

        Args:
            said: the messages.
            task: the task in which the state's graph runs.

        Returns:
            What was published and is not among them.
        """
        pairs, extra = self._pairs(said)
        shown, rest = -1, list[tuple[BaseMessage, Published | None]]()
        for message, found in pairs:
            if found is None and not rest and not text_and_reasoning(message)[0]:
                self._say(message, task=task)  # nothing but its calls, which stay where they are
            elif found is not None and (not found.text or (not rest and found.place > shown)):
                shown = max(shown, found.place)
            else:
                rest.append((message, found))
        # The last first: each is dropped from behind all that stays, as it was said where this was done before.
        self._drop([found for _, found in reversed(rest) if found is not None])
        for message, found in rest:
            self._say(message, found, task)
        return extra

    def _pairs(
        self, said: list[BaseMessage]
    ) -> tuple[list[tuple[BaseMessage, Published | None]], list[Published]]:
        """Return what an agent says in a state, each message with what was published of it, and what was published
        and is not among them.

        Messages are paired by their ids, where their words are the same, then by their words, in order.
        """
        spoken = [message for message in said if _speaks(message)]
        free = _Free(self._published)
        found = [free.by_id(message) for message in spoken]
        shown = -1
        for number, message in enumerate(spoken):
            if found[number] is None:
                found[number] = free.by_words(message, shown)
            shown = max(shown, each.place) if (each := found[number]) else shown
        return list(zip(spoken, _equal_in_order(found), strict=True)), free.rest()

    def _say(self, message: BaseMessage, again: Published | None = None, task: str = "") -> None:
        """Publish a message.

        Args:
            message: the message.
            again: what was published of it before, and dropped. Its id makes the new one, so that the ids of later
                messages do not hang on which of two models was faster.
            task: the task in which it was said, where nothing of it was published before.
        """
        text, _ = text_and_reasoning(message)
        message_id = (f"{again.message_id}r" if again else self._new_message_id()) if text else ""
        reasoning = again.reasoning if again else ""
        if text:
            if reasoning:
                self._publish(ReasoningDelta(message_id=message_id, delta=reasoning))
            self._publish(TextDelta(message_id=message_id, delta=text))
            ids = {*(again.ids if again else ()), *([message.id] if message.id else ())}
            task = again.task if again else task
            self._published.append(Published(message_id, text, ids, self._new_place(), reasoning, task))
        if isinstance(message, AIMessage):
            self._publish_calls(message)
        if text:
            self._publish(MessageDone(message_id=message_id, text=text, reasoning=reasoning))

    def _say_text(self, text: str) -> None:
        self._say(AIMessage(text))

    def _be(self, answer: str) -> None:
        """Have a text be all of the turn's answer."""
        same = next((each for each in reversed(self._published) if same_answer(each.text, answer)), None)
        self._drop([each for each in self._published if each is not same])
        if same is None:
            self._say_text(answer)

    def _drop(self, published: list[Published]) -> None:
        for each in published:
            self._publish(ItemDropped(item_id=each.message_id))
        dropped = {id(each) for each in published}
        self._published[:] = [each for each in self._published if id(each) not in dropped]


class _Free:
    """The published messages that no message of a state was found to be. Each is looked at as often as it would be
    among few.

    Args:
        published: all of them.
    """

    def __init__(self, published: Iterable[Published]) -> None:
        self._free = {id(each): each for each in published}
        self._by_id: defaultdict[tuple[str, str], deque[Published]] = defaultdict(deque)
        """The messages by their ids and words."""
        self._by_words: defaultdict[str, deque[Published]] = defaultdict(deque)
        """The messages that may come after the place at hand, by their words, in the order in which they are
        shown."""
        self._before: defaultdict[str, deque[Published]] = defaultdict(deque)
        """The messages that do not come after it, in the same way."""
        for each in self._free.values():
            for known in each.ids:
                self._by_id[known, each.text.strip()].append(each)
        for each in sorted(self._free.values(), key=lambda each: each.place):
            self._by_words[each.text.strip()].append(each)

    def rest(self) -> list[Published]:
        """Return those that are left, in their order."""
        return list(self._free.values())

    def by_id(self, message: BaseMessage) -> Published | None:
        """Take the published message that a message of the state is; none where its words were replaced."""
        text = text_and_reasoning(message)[0].strip()
        return self._first(self._by_id[message.id, text]) if message.id else None

    def by_words(self, message: BaseMessage, shown: int) -> Published | None:
        """Take a published message of the same words: the first after a place, else the first of all.

        Args:
            message: the message of the state.
            shown: the place, no earlier than that of the call before.
        """
        text = text_and_reasoning(message)[0].strip()
        if not text:
            return None
        after, before = self._by_words[text], self._before[text]
        while after and after[0].place < shown:
            before.append(after.popleft())
        return self._first(after) or self._first(before)

    def _first(self, found: deque[Published]) -> Published | None:
        while found:
            each = found.popleft()
            if self._free.pop(id(each), None) is not None:
                return each
        return None


def _equal_in_order(found: list[Published | None]) -> list[Published | None]:
    """Return published messages with those of equal words in the order in which they are shown: nobody sees which
    is which."""
    equal: defaultdict[str, deque[Published]] = defaultdict(deque)
    for each in sorted((each for each in found if each is not None), key=lambda each: each.place):
        equal[each.text.strip()].append(each)
    return [each and equal[each.text.strip()].popleft() for each in found]


def _field(state: Any, name: str) -> Any:
    return state.get(name) if isinstance(state, dict) else getattr(state, name, None)


def messages_of(state: Any) -> list[AnyMessage]:
    """Return the messages of a state, or of what a function of the functional API returned."""
    found = state if isinstance(state, list | BaseMessage) else _field(state, _KEY)
    listed = found if isinstance(found, list) else [] if found is None else [found]
    return [message for each in listed for message in _converted(each)]


def _converted(message: Any) -> list[Any]:
    """Return a message as LangGraph's own reducer would read it; nothing where it is none."""
    if isinstance(message, str):
        return []
    try:
        return convert_to_messages([message])
    except (ValueError, TypeError, NotImplementedError, KeyError):
        return []


def _name(message: BaseMessage) -> object:
    """Return what a message is known by. An answer may have the id of the user's message, in whose place it is."""
    kind = message.type.removesuffix("MessageChunk").lower()
    return kind, message.id or str(message.content)


def _has(state: Any, given: set[object]) -> bool:
    return any(_name(message) in given for message in messages_of(state))


def _new(state: Any, given: set[object]) -> list[BaseMessage]:
    """Return the messages of a state that came after those the graph was given."""
    messages = messages_of(state)
    known = [number for number, message in enumerate(messages) if _name(message) in given]
    return list(messages[known[-1] + 1 if known else 0 :])


def _speaks(message: BaseMessage) -> bool:
    """Return whether an agent says it: as a model's message, or, for a supervisor, as a user's with a name."""
    if isinstance(message, ChatMessage):
        return message.role in ("assistant", "ai")
    return isinstance(message, AIMessage) or (isinstance(message, HumanMessage) and bool(message.name))


def _output(state: Any, outputs: Collection[str]) -> Any:
    """Return what a graph gives of its final state; a function of the functional API gives what it returned."""
    if not isinstance(state, dict) or not any(name in state for name in outputs):
        return state
    return {name: value for name, value in state.items() if name in outputs}


def _other_output(state: Any, outputs: Iterable[str]) -> str:
    """Return what a graph came to that has its answer elsewhere than in messages."""
    names = [name for name in outputs if name != _KEY]
    if names == [END]:
        # A function of the functional API: the state is what it returned.
        return "" if messages_of(state) else answer_text(state)
    found = {name: value for name in names if (value := _field(state, name)) not in (None, "", [], {})}
    if len(found) != 1:
        return answer_text(found) if found else ""
    (value,) = found.values()
    return text_and_reasoning(value)[0] if isinstance(value, BaseMessage) else answer_text(value)
