"""What is in a LangChain message's content."""

import re
from typing import Any

from langchain_core.messages import BaseMessage, ToolMessage

_DATA_URL = re.compile(r"data:([^;,]+)(?:;[^;,]+)*;base64,(.*)", re.DOTALL)
"""RFC 2397."""


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


def text_and_reasoning(message: BaseMessage) -> tuple[str, str]:
    """Return a message's text and its reasoning, either of which may be empty.

    Content is a string, or blocks as OpenAI's Responses API, Anthropic or LangChain itself write them; several
    servers put reasoning beside the content, as ``reasoning_content``.
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
        elif isinstance(message, ToolMessage):
            # Models are shown it, where they take it; people are told that it is there.
            text += f"[{str(block.get('type') or 'data').removesuffix('_url')}]"
    return text, reasoning
