"""Messages in what a tool returned that it had been given itself.

A tool that hands a turn over returns all that was said with it, as LangGraph documents
(``Command(update={"messages": [*state["messages"], done]})``). A graph knows its messages by ids, most of which
are random: they are others when the turn is run again. So these messages are kept by their places in what the
tool was given, and get the ids of those that stand there then.
"""

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

from langchain_core.messages import BaseMessage
from langgraph.types import Command, Send
from pydantic import BaseModel

_MARK = "k8gentai:given:"
"""Begins what stands for the id of a message that the tool was given; its place follows."""
_DEPTH = 4
"""The depth to which a tool's arguments are searched for messages: in lists in fields of a state."""


class GivenMessages:
    """The messages that a tool was given.

    Args:
        values: the state of its graph, and its arguments.
    """

    def __init__(self, *values: Any) -> None:
        ids = [message.id for value in values for message in _messages(value, _DEPTH) if message.id]
        self._ids = list(dict.fromkeys(ids))
        self._marks = {known: f"{_MARK}{place}" for place, known in enumerate(self._ids)}

    def marked(self, result: Any) -> Any:
        """Return what the tool returned with places for these messages' ids."""
        return _with_ids(result, lambda known: self._marks.get(known, known)) if self._marks else result

    def unmarked(self, result: Any) -> Any:
        """Return the same again, with the ids that they have now."""
        return _with_ids(result, self._id)

    def _id(self, mark: str) -> str:
        place = mark.removeprefix(_MARK)
        if place == mark or not place.isdecimal() or int(place) >= len(self._ids):
            return mark
        return self._ids[int(place)]


def _messages(value: Any, depth: int) -> Iterator[BaseMessage]:
    if isinstance(value, BaseMessage):
        yield value
        return
    for item in _items(value) if depth else ():
        yield from _messages(item, depth - 1)


def _items(value: Any) -> Iterator[Any]:
    """Return what is in a state, or in arguments. A tool's runtime has the state."""
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list | tuple):
        yield from value
    elif isinstance(value, BaseModel):
        yield from (getattr(value, name) for name in type(value).model_fields)
    elif hasattr(value, "tool_call_id") and hasattr(value, "state"):
        yield value.state
    elif is_dataclass(value):
        yield from (getattr(value, field.name, None) for field in fields(value))


def _with_ids(value: Any, other: Callable[[str], str]) -> Any:
    """Return a result with other ids of the messages in it."""
    if isinstance(value, BaseMessage):
        found = other(value.id) if value.id else value.id
        return value if found == value.id else value.model_copy(update={"id": found})
    if isinstance(value, Command):
        return replace(
            value, **{name: _with_ids(getattr(value, name), other) for name in ("update", "resume", "goto")}
        )
    if isinstance(value, Send):
        return Send(value.node, _with_ids(value.arg, other))
    if type(value) in (list, tuple):
        return type(value)(_with_ids(item, other) for item in value)
    if type(value) is dict:
        changed = {key: _with_ids(item, other) for key, item in value.items()}
        if ("role" in value or "type" in value) and isinstance(value.get("id"), str):
            changed["id"] = other(value["id"])
        return changed
    return value
