"""The text of what an agent came to, where its framework returns no text: a model of pydantic, a dictionary, …"""

import json
from typing import Any

from k8gentai.agents.text.json_text import json_text, strict_json


def answer_text(value: Any) -> str:
    """Write an agent's answer as text: a string as it is, None as nothing, everything else as JSON."""
    if value is None or isinstance(value, str):
        return value or ""
    return json_text(value)


def same_answer(text: str, answer: str) -> bool:
    """Return whether a published text is an answer: the same words, or JSON of the same value."""
    if text.strip() == answer.strip():
        return True
    try:
        return bool(json.loads(text) == json.loads(answer))
    except ValueError:
        return False


def same_words(text: str, other: str) -> bool:
    """Return whether two texts are the same but for spaces, and for capital letters."""
    return "".join(text.split()).casefold() == "".join(other.split()).casefold()


def is_json(text: str) -> bool:
    """Return whether a text is JSON."""
    try:
        strict_json(text)
    except (ValueError, RecursionError):
        return False
    return True
