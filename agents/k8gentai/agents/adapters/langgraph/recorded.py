"""Results of tools as they are kept in a turn's journal: a command changes a graph's state, an artifact belongs to
a message, and both must be the same when the turn is run again.

Only types that LangGraph holds to be safe are read back: who can write to Redis must not choose what is imported.
"""

import base64
from typing import Any

from langchain_core.messages import ToolMessage
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

_MESSAGE, _ARTIFACT = "tool_message", "tool_message_artifact"
"""Keys of what is kept of a message with an artifact."""

_SERIALIZER = JsonPlusSerializer(allowed_msgpack_modules=None)


def recorded(result: Any) -> str:
    """Return a tool's result as text; empty where the text of its message says it all, or where it
    cannot be kept.
    """
    if _is_plain(result):
        return ""
    return written(result) or ""


def written(result: Any) -> str | None:
    """Return what a tool returned as text; None where it cannot be kept."""
    is_plain = isinstance(result, str) or _is_plain(result)
    try:
        kind, data = _SERIALIZER.dumps_typed(_apart(result))
        if not is_plain and _SERIALIZER.dumps_typed(_SERIALIZER.loads_typed((kind, data))) != (kind, data):
            return None
    except (TypeError, ValueError):
        return None
    return f"{kind}:{base64.b64encode(data).decode()}"


def remade(raw: str) -> Any:
    """Return the result again.

    Args:
        raw: what :func:`recorded` or :func:`written` returned, not empty.
    """
    kind, _, data = raw.partition(":")
    result = _SERIALIZER.loads_typed((kind, base64.b64decode(data)))
    if isinstance(result, dict) and result.keys() == {_MESSAGE, _ARTIFACT}:
        result[_MESSAGE].artifact = result[_ARTIFACT]
        return result[_MESSAGE]
    return result


def _is_plain(result: Any) -> bool:
    return isinstance(result, ToolMessage) and isinstance(result.content, str) and result.artifact is None


def _apart(result: Any) -> Any:
    """Return a message and its artifact apart: the serializer makes plain objects of what a message holds."""
    if not isinstance(result, ToolMessage) or result.artifact is None:
        return result
    return {_MESSAGE: result.model_copy(update={"artifact": None}), _ARTIFACT: result.artifact}
