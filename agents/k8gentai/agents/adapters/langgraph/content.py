"""Reads the content of LangChain's messages."""

import re
from typing import Any

from langchain_core.messages import BaseMessage, ToolMessage

_DATA_URL = re.compile(r"data:([^;,]+)(?:;[^;,]+)*;base64,(.*)", re.DOTALL)
"""RFC 2397."""


_MACHINERY = re.compile(
    r"(.+_)?(tool_)?(call|call_output|call_chunk|use|result|delta)|(reasoning|redacted|non_standard|mcp_).*"
    r"|executable_code|compaction|cachePoint"
)
"""The types of parts of a model's answer that are no words of it: what it calls, thinks, or is told on the way."""

_IMAGE_CALL = "image_generation_call"
"""The part in which the Responses API has an image that a model made."""


def file_block(block: Any) -> Any:
    """Return a content block as it is, but a file's as LangChain's own block: it takes what is in the one of chat
    completions for a PDF whatever it is.
    """
    file = block.get("file") if isinstance(block, dict) and block.get("type") == "file" else None
    found = _DATA_URL.fullmatch((file or {}).get("file_data") or "")
    if not file or not found:
        return block
    named = {"filename": file["filename"]} if file.get("filename") else {}
    return {"type": "file", "base64": found[2], "mime_type": found[1], **named}


def text_and_reasoning(message: BaseMessage, begun: set[object] | None = None) -> tuple[str, str]:
    """Return a message's text and its reasoning, either of which may be empty.

    Content is a string, or blocks as OpenAI's Responses API, Anthropic or LangChain itself write them; several
    servers put reasoning beside the content, as ``reasoning_content``. For what no text can hold, an image or
    data, the text has a mark in its place.

    Args:
        message: the message, or a piece of it.
        begun: the places in the message of the parts that its pieces before this one have begun.
    """
    reasoning = str(message.additional_kwargs.get("reasoning_content") or "")
    if isinstance(message.content, str):
        return message.content or str(message.additional_kwargs.get("refusal") or ""), reasoning
    text = ""
    for block in message.content:
        if isinstance(block, str):
            text += block
        elif block.get("type") in ("text", "output_text", "input_text"):
            text += block.get("text") or ""
        elif block.get("type") == "refusal":
            text += block.get("refusal") or ""
        elif block.get("type") == "reasoning":
            reasoning += block.get("reasoning") or "".join(s.get("text", "") for s in block.get("summary") or ())
        elif block.get("type") == "thinking":
            reasoning += block.get("thinking") or ""
        elif isinstance(message, ToolMessage) or not _is_machinery(block):
            # Models are shown it, where they take it; people are told that it is there.
            text += "" if _goes_on(block, begun) else _mark(block)
    return text, reasoning


def _is_machinery(block: dict[str, Any]) -> bool:
    # Pieces of answers that say that a part is over have no type.
    kind = str(block.get("type") or "")
    return not kind or (kind != _IMAGE_CALL and _MACHINERY.fullmatch(kind) is not None)


def _goes_on(block: dict[str, Any], begun: set[object] | None) -> bool:
    """Return whether a part of a piece goes on with one that another piece has begun."""
    place = block.get("index")
    if begun is None or place is None:
        return False
    if place in begun:
        return True
    begun.add(place)
    return False


def _mark(block: dict[str, Any]) -> str:
    kind = str(block.get("type") or "data").replace(_IMAGE_CALL, "image")
    return f"[{kind.removeprefix('input_').removeprefix('output_').removesuffix('_url')}]"
