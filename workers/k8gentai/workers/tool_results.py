"""Brings tools' results to models as JSON where Python wrote them with NaN or Infinity, which JSON does not have.

Frameworks hand a result that a tool returned to their models as they wrote it; run again, they hand over the text
of its event. Both are the same request only if the numbers are the same in both.
"""

from typing import Any

from k8gentai.agents.json_text import result_json


def with_json_results(body: dict[str, Any]) -> dict[str, Any]:
    """Return a model call whose tools' messages hold JSON that every reader takes, where they hold JSON at all."""
    messages = body.get("messages")
    if not isinstance(messages, list):
        return body
    return {**body, "messages": [_read(message) for message in messages]}


def _read(message: Any) -> Any:
    if not isinstance(message, dict) or message.get("role") not in ("tool", "function"):
        return message
    content = message.get("content")
    if isinstance(content, str):
        return {**message, "content": result_json(content)}
    if isinstance(content, list):
        return {**message, "content": [_part(part) for part in content]}
    return message


def _part(part: Any) -> Any:
    if isinstance(part, str):
        return result_json(part)
    if isinstance(part, dict) and isinstance(text := part.get("text"), str):
        return {**part, "text": result_json(text)}
    return part
