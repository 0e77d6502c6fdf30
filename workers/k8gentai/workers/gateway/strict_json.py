"""Brings arguments and results of tool calls to models as JSON where Python wrote them with NaN or Infinity, which
JSON does not have.

Frameworks hand a result that a tool returned to their models as they wrote it; run again, they hand over the text
of its event. Both are the same request only if the numbers are the same in both.
"""

from collections.abc import Callable
from typing import Any

from k8gentai.agents.text.json_text import json_arguments, result_json


def with_json_results(body: dict[str, Any]) -> dict[str, Any]:
    """Return a model call whose messages hold tools' results as JSON that every reader takes, where these are
    JSON at all."""
    return _with_messages(body, _result)


def with_json_arguments(body: dict[str, Any]) -> dict[str, Any]:
    """Return a model call whose messages hold arguments of tool calls as JSON that every reader takes.

    The journal knows a call by what it was before.
    """
    return _with_messages(body, _calls)


def _with_messages(body: dict[str, Any], read: Callable[[Any], Any]) -> dict[str, Any]:
    messages = body.get("messages")
    return {**body, "messages": [read(message) for message in messages]} if isinstance(messages, list) else body


def _calls(message: Any) -> Any:
    if not isinstance(message, dict) or not isinstance(calls := message.get("tool_calls"), list):
        return message
    return {**message, "tool_calls": [_call(call) for call in calls]}


def _result(message: Any) -> Any:
    if not isinstance(message, dict) or message.get("role") not in ("tool", "function"):
        return message
    content = message.get("content")
    if isinstance(content, str):
        return {**message, "content": result_json(content)}
    if isinstance(content, list):
        return {**message, "content": [_part(part) for part in content]}
    return message


def _call(call: Any) -> Any:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(arguments := function.get("arguments"), str):
        return call
    return {**call, "function": {**function, "arguments": json_arguments(arguments)}}


def _part(part: Any) -> Any:
    if isinstance(part, str):
        return result_json(part)
    if isinstance(part, dict) and isinstance(text := part.get("text"), str):
        return {**part, "text": result_json(text)}
    return part
