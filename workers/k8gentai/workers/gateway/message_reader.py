"""Reads a message, or a delta of one: its words, its thoughts, and the pieces of its tool calls."""

import json
from dataclasses import dataclass
from typing import Any

from k8gentai.workers.gateway.added_fields import DETAILS, joined_details
from k8gentai.workers.gateway.answer_parts import sent_calls
from k8gentai.workers.gateway.optional_fields import of_message

CALL_FIELDS = ("index", "id", "type", "function", "custom")
"""The API's own fields of a tool call."""
TEXTS = ("content", "reasoning_content", "refusal")


@dataclass
class Piece:
    """A piece of a tool call."""

    sent: dict[str, Any]
    """The piece as it came."""
    position: int
    """The call's number among the pieces of its chunk."""
    sent_id: str
    name: str
    arguments: str
    extras: dict[str, Any]


def read_delta(sent: dict[str, Any]) -> tuple[dict[str, Any], list[Piece]]:
    """Return a delta or message without its tool calls, and their pieces."""
    delta = of_message(sent)
    if sent.get("role"):
        # Whichever an endpoint names: another's message is nothing that frameworks expect of a model.
        delta["role"] = "assistant"
    content, thoughts = read_content(sent.get("content"))
    if "content" in sent:
        delta["content"] = content
    reasoning = sent.get("reasoning_content") or sent.get("reasoning")
    if reasoning or thoughts:
        delta["reasoning_content"] = (reasoning if isinstance(reasoning, str) else "") + thoughts
    elif "reasoning_content" in sent:
        delta["reasoning_content"] = ""
    if isinstance(refusal := sent.get("refusal"), str):
        delta["refusal"] = refusal
    return delta, [_read_piece(position, call) for position, call in enumerate(sent_calls(sent))]


def with_refusal(content: str | None, refusal: str | None) -> str | None:
    """Return what a message says: its words, and what it refuses with."""
    if not refusal or refusal == content:
        return content
    return f"{content or ''}{apart(content or '', refusal)}"


def apart(words: str, refusal: str) -> str:
    """Return a refusal as it stands behind words, which it may follow without a space."""
    return refusal if not words or words[-1].isspace() else f"\n\n{refusal}"


def _read_piece(position: int, sent: dict[str, Any]) -> Piece:
    function = sent["function"] if isinstance(sent.get("function"), dict) else {}
    if not function and isinstance(custom := sent.get("custom"), dict):
        # Nobody offered such a tool, and not all frameworks can read its call: as a function's, the model is told.
        function = {"name": custom.get("name"), "arguments": custom.get("input")}
    extras = {name: value for name, value in sent.items() if name not in CALL_FIELDS}
    return Piece(
        sent,
        position,
        str(sent.get("id") or ""),
        str(function.get("name") or ""),
        written_arguments(function.get("arguments")),
        extras,
    )


def written_arguments(sent: Any) -> str:
    """Return a call's arguments as text: some endpoints send the object itself, or nothing."""
    if sent is None or isinstance(sent, str):
        return sent or ""
    return json.dumps(sent, ensure_ascii=False)


def read_content(content: Any) -> tuple[str | None, str]:
    """Return a content's text, and the reasoning in it: some endpoints send a list of parts, or a number."""
    if content is None or isinstance(content, str):
        return content, ""
    if isinstance(content, int | float):
        return json.dumps(content), ""
    text, thoughts = "", ""
    for part in content if isinstance(content, list) else [content]:
        if isinstance(part, str):
            text += part
        elif isinstance(part, dict) and isinstance(thinking := part.get("thinking"), str | list):
            thoughts += read_content(thinking)[0] or ""
        elif isinstance(part, dict) and isinstance(part.get("text"), str):
            text += part["text"]
    return text, thoughts


def add_reasoning(known: dict[str, Any], sent: dict[str, Any], read: dict[str, Any]) -> None:
    """Keep the reasoning of a delta or message under the name that the endpoint gives it."""
    if isinstance(more := read.get("reasoning_content"), str):
        name = "reasoning" if "reasoning" in sent and "reasoning_content" not in sent else "reasoning_content"
        known[name] = known.get(name, "") + more
    if isinstance(details := read.get(DETAILS), list):
        known[DETAILS] = joined_details(known.get(DETAILS, []), details)
