"""Ids of tool calls that every model takes: nine letters and digits, all that Mistral's endpoints allow.

Source: https://docs.mistral.ai/api (``Tool call id was … but must be a-z, A-Z, 0-9, with a length of 9``).
"""

import hashlib
import re
import string
from collections.abc import Callable
from typing import Any

_ALPHABET = string.digits + string.ascii_letters
_LETTERS = 9
_TAKEN = re.compile(rf"[0-9A-Za-z]{{{_LETTERS}}}")

CallId = Callable[[str, int, int], str]
"""Returns a tool call's id, given the one that the model sent, the index of its choice, and its place in that."""


def short_id(told: str) -> str:
    """Return an id that stands for a text."""
    number = int.from_bytes(hashlib.sha256(told.encode(errors="surrogatepass")).digest())
    return "".join(_ALPHABET[number // len(_ALPHABET) ** place % len(_ALPHABET)] for place in range(_LETTERS))


def with_short_ids(body: dict[str, Any]) -> dict[str, Any]:
    """Return a model call whose messages name tool calls by ids that every model takes.

    Calls of earlier turns have the ids of their items, and clients and agents' code may bring others. The journal
    knows a call by what it was before.
    """
    messages = body.get("messages")
    return {**body, "messages": [_message(each) for each in messages]} if isinstance(messages, list) else body


def _message(message: Any) -> Any:
    if not isinstance(message, dict):
        return message
    if isinstance(calls := message.get("tool_calls"), list):
        message = {**message, "tool_calls": [_named(call, "id") for call in calls]}
    return _named(message, "tool_call_id")


def _named(part: Any, field: str) -> Any:
    """Return a message or call with another id in place of one that not every model takes."""
    if not isinstance(part, dict) or not isinstance(given := part.get(field), str) or not given:
        return part
    return part if _TAKEN.fullmatch(given) else {**part, field: short_id(given)}
