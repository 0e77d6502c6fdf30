"""Results of tools as they are kept in a turn's journal: a command changes a graph's state, an artifact belongs to
a message, and both must be the same when the turn is run again.

Only types that LangGraph holds to be safe are read back: who can write to Redis must not choose what is imported.
"""

import base64
from typing import Any

from langchain_core.messages import ToolMessage
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

_SERIALIZER = JsonPlusSerializer(allowed_msgpack_modules=None)


def recorded(result: Any) -> str:
    """Return a tool's result as text; empty where the text of its message says it all, or where it
    cannot be kept.
    """
    if isinstance(result, ToolMessage) and isinstance(result.content, str) and result.artifact is None:
        return ""
    return written(result) or ""


def written(result: Any) -> str | None:
    """Return what a tool returned as text; None where it cannot be kept."""
    try:
        kind, data = _SERIALIZER.dumps_typed(result)
        if _SERIALIZER.dumps_typed(_SERIALIZER.loads_typed((kind, data))) != (kind, data):
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
    return _SERIALIZER.loads_typed((kind, base64.b64decode(data)))
