"""Results of tools as they are kept in a turn's journal: a command changes a graph's state, an artifact belongs to
a message, and both must be the same when the turn is run again.

Only types that LangGraph holds to be safe are read back: who can write to Redis must not choose what is imported.
"""

import base64
from dataclasses import fields, replace
from typing import Any

from langchain_core.messages import ToolMessage
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.types import Command

from k8gentai.agents.adapters.base.kept_results import round_trip
from k8gentai.agents.adapters.langgraph.given_messages import GivenMessages

_MESSAGE, _ARTIFACT = "tool_message", "tool_message_artifact"
"""Keys of what an earlier version kept of a message with an artifact."""

_PAIRS = "k8gentai:pairs"
"""Key of what stands for a command's update that is a list of tuples: the serializer would make lists of these."""

_SERIALIZER = JsonPlusSerializer(allowed_msgpack_modules=None)


def recorded(result: Any, given: GivenMessages) -> str:
    """Return a tool's result as text; empty where the text of its message says it all, or where it
    cannot be kept.

    Args:
        result: the result that it returned.
        given: the messages that it was given.
    """
    return "" if _is_plain(result) else written(result, given) or _degraded(given.marked(result))


def written(result: Any, given: GivenMessages) -> str | None:
    """Return what a tool returned as text; None where what is read back is not the same."""
    return round_trip(
        result, lambda whole: _dumped(_by_parts(given.marked(whole))), lambda text: remade(text, given)
    )


def remade(raw: str, given: GivenMessages) -> Any:
    """Return the result again.

    Args:
        raw: the text that :func:`recorded` or :func:`written` returned, not empty.
        given: the messages that the tool is given now.
    """
    return given.unmarked(_read(raw))


def _read(raw: str) -> Any:
    kind, _, data = raw.partition(":")
    result = _SERIALIZER.loads_typed((kind, base64.b64decode(data)))
    if isinstance(result, dict) and result.keys() == {_MESSAGE, _ARTIFACT}:
        message = result[_MESSAGE]
        if isinstance(message, ToolMessage):
            message.artifact = result[_ARTIFACT]
            return message
    return _with_pairs(result)


def _with_pairs(value: Any) -> Any:
    """Return a result whose commands have their updates as they were."""
    if isinstance(value, list):
        return [_with_pairs(item) for item in value]
    if isinstance(value, Command) and isinstance(value.update, dict) and value.update.keys() == {_PAIRS}:
        return replace(value, update=[tuple(pair) for pair in value.update[_PAIRS]])
    return value


def _pairs(update: Any) -> list[list[Any]] | None:
    """Return a command's update as lists, where it is a list of tuples."""
    if not isinstance(update, list) or not update or any(type(pair) is not tuple for pair in update):
        return None
    return [list(pair) for pair in update]


def _is_plain(result: Any) -> bool:
    return isinstance(result, ToolMessage) and isinstance(result.content, str) and result.artifact is None


def _degraded(result: Any) -> str:
    """Return a result as far as the serializer has it: what it does not know becomes plain objects."""
    try:
        text = _dumped(result)
        return text if _dumped(_read(text)) == text else ""
    except (TypeError, ValueError):
        return ""


def _dumped(result: Any) -> str:
    kind, data = _SERIALIZER.dumps_typed(result)
    return f"{kind}:{base64.b64encode(data).decode()}"


def _by_parts(value: Any) -> Any:
    """Return a result whose messages and commands the serializer writes as calls of their classes.

    It makes plain objects of what a message holds, and a list of the empty tuple that a command has by default.
    """
    if isinstance(value, list):
        return [_by_parts(item) for item in value]
    if type(value) is dict:
        return {key: _by_parts(item) for key, item in value.items()}
    if isinstance(value, ToolMessage):
        return _call(type(value), dict(value))
    if isinstance(value, Command):
        given = {field.name: getattr(value, field.name) for field in fields(value)}
        if (pairs := _pairs(value.update)) is not None:
            given["update"] = {_PAIRS: pairs}
        return _call(
            type(value), {name: _by_parts(item) for name, item in given.items() if item not in (None, ())}
        )
    return value


def _call(kind: type[Any], arguments: dict[str, Any]) -> Any:
    """Return what the serializer takes for an object of a class, made with these arguments: a named tuple."""
    return type(kind.__name__, (), {"__module__": kind.__module__, "_asdict": lambda _: arguments})()
