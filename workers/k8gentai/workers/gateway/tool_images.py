"""Brings images that tools return to models: chat completions takes nothing but text of a tool, so the user shows
them right after it.

Source: https://platform.openai.com/docs/api-reference/chat/create#chat-create-messages
"""

from collections.abc import Mapping, Sequence
from typing import Any

from k8gentai.agents.adapters.base.messages import SHOWN

_SHOWABLE = frozenset({"image_url", "file", "input_audio"})
"""Parts that a user's message may have."""


def with_tool_images(
    body: dict[str, Any], images: Mapping[str, Sequence[str]], *, show: bool = True
) -> dict[str, Any]:
    """Move what is no text out of the tools' messages of a model call, into a user's message behind them.

    Args:
        body: the call, as chat completions takes it.
        images: the addresses of further images of tools' results, by the ids of the tool calls.
        show: False for a model that takes no images: then there is no such message.

    Returns:
        The body itself, where its tools' messages hold and have nothing but text.
    """
    messages = body.get("messages")
    if not isinstance(messages, list) or not any(_has_parts(m) or _images(m, images) for m in messages):
        return body
    moved: list[Any] = []
    shown: list[dict[str, Any]] = []
    for message in messages:
        if shown and not _is_tool(message):
            moved.append(_shown(shown))
            shown = []
        moved.append(_text_only(message, shown) if _has_parts(message) else message)
        shown += _images(message, images)
        if not show:
            shown = []
    return {**body, "messages": [*moved, *([_shown(shown)] if shown else [])]}


def _is_tool(message: Any) -> bool:
    return isinstance(message, dict) and message.get("role") == "tool"


def _images(message: Any, images: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """Return the further images of the result that a message is, as parts of a user's message."""
    urls = images.get(str(message.get("tool_call_id")), ()) if _is_tool(message) else ()
    return [{"type": "image_url", "image_url": {"url": url}} for url in urls]


def _has_parts(message: Any) -> bool:
    """Return whether it is a tool's message with more than text in it."""
    return (
        _is_tool(message)
        and isinstance(parts := message.get("content"), list)
        and any(not isinstance(part, dict) or part.get("type") != "text" for part in parts)
    )


def _text_only(message: dict[str, Any], shown: list[dict[str, Any]]) -> dict[str, Any]:
    texts = []
    for part in message["content"]:
        kind = part.get("type") if isinstance(part, dict) else None
        if isinstance(part, str) or kind == "text":
            texts.append(part if isinstance(part, str) else str(part.get("text") or ""))
            continue
        name = {"image_url": "image", "input_audio": "audio"}.get(str(kind), str(kind))
        texts.append(f"[{name}]")
        if kind in _SHOWABLE:
            shown.append(part)
    return {**message, "content": "\n".join(texts)}


def _shown(parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "text", "text": SHOWN}, *parts]}
