"""Images in tools' results: no API takes them as text, so they are handed on beside it, for the model to see."""

from contextvars import ContextVar
from typing import Any

from k8gentai.agents.text.json_text import json_text

IMAGE = "[image]"
"""What stands in a result's text for an image."""

_SENTINEL = "VISION_IMAGE:"
"""Begins a text that is an image, as CrewAI's tools write it: ``VISION_IMAGE:<media type>:<base64>``."""

shown_images: ContextVar[list[str] | None] = ContextVar("amf_shown_images", default=None)
"""The addresses of the images that the running tool call has shown. Set while a tool runs."""


def show_image(url: str) -> str:
    """Have the model see an image with the result of the tool call that runs. To be called from any thread.

    Args:
        url: its address, or its data as a data URL.

    Returns:
        What stands for it in the result's text.
    """
    images = shown_images.get()
    if images is not None:
        images.append(url)
    return IMAGE


def text_without_images(result: Any) -> str | None:
    """Show the images of a tool's result that is content parts, one or a list, or a message of them.

    Returns:
        The result's text; None where there is no image in it.
    """
    if isinstance(result, dict) and isinstance(result.get("content"), list):
        result = result["content"]
    parts = result if isinstance(result, list) else [result]
    if not any(map(_address, parts)):
        return None
    return "\n".join(show_image(url) if (url := _address(part)) else _text(part) for part in parts)


def _address(part: Any) -> str | None:
    """Return the address of the image that a part is, as OpenAI, MCP and CrewAI write one."""
    if isinstance(part, str):
        kind, _, data = part.removeprefix(_SENTINEL).partition(":")
        return f"data:{kind};base64,{data}" if part.startswith(_SENTINEL) and data else None
    match part:
        case {"type": "image_url", "image_url": {"url": str(url)}}:
            return url
        case {"type": "image_url" | "input_image", "image_url": str(url)}:
            return url
        case {"type": "image", "data": str(data), "mimeType": str(kind)}:
            return f"data:{kind};base64,{data}"
    return None


def _text(part: Any) -> str:
    if isinstance(part, dict) and isinstance(part.get("text"), str):
        return str(part["text"])
    return part if isinstance(part, str) else json_text(part)
