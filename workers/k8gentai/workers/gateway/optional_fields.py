"""Keeps what an answer holds beside its words and calls, where it has the types that the OpenAI API documents.

Nobody needs it to read the answer, and what frameworks cannot read of it would fail them behind the whole of that.
What the API does not name stays as it came.
"""

from collections.abc import Callable
from typing import Any

from k8gentai.agents.text.json_text import is_too_deep
from k8gentai.workers.gateway.answer_parts import usable_logprobs

_Fields = dict[str, Callable[[Any], bool]]
"""The optional fields of a part of an answer, and whether a value has a field's type."""


def of_answer(sent: dict[str, Any]) -> dict[str, Any]:
    """Return what a chunk or a completion holds beside its head, choices and usage."""
    return _usable(sent, _ANSWER)


def of_choice(sent: dict[str, Any]) -> dict[str, Any]:
    """Return what a choice holds beside what is said in it, its index and its finish reason."""
    return _usable(sent, _CHOICE)


def of_message(sent: dict[str, Any]) -> dict[str, Any]:
    """Return what a delta or a message holds beside its role, texts and calls."""
    return _usable(sent, _MESSAGE)


def _usable(sent: dict[str, Any], fields: _Fields) -> dict[str, Any]:
    return {name: value for name, value in sent.items() if fields.get(name, _is_readable)(value)}


def _none(_: Any) -> bool:
    return False


def _is_readable(value: Any) -> bool:
    return not (isinstance(value, dict | list) and is_too_deep(value))


def _is_text(value: Any) -> bool:
    return value is None or isinstance(value, str)


def _is_logprobs(value: Any) -> bool:
    return value is None or usable_logprobs(value) is not None


def _is_audio(value: Any) -> bool:
    return value is None or _has(value, id=str, data=str, transcript=str, expires_at=int)


def _are_annotations(value: Any) -> bool:
    return value is None or (isinstance(value, list) and all(_is_citation(each) for each in value))


def _is_citation(value: Any) -> bool:
    if not isinstance(value, dict) or value.get("type") != "url_citation":
        return False
    return _has(value.get("url_citation"), url=str, title=str, start_index=int, end_index=int)


def _has(value: Any, **types: type) -> bool:
    return isinstance(value, dict) and all(type(value.get(name)) is kind for name, kind in types.items())


_ANSWER: _Fields = {
    "id": _none,
    "object": _none,
    "created": _none,
    "model": _none,
    "choices": _none,
    "usage": _none,
    # An error that says anything is raised before an answer is read.
    "error": _none,
    "system_fingerprint": _is_text,
    "service_tier": _is_text,
}
_CHOICE: _Fields = {
    "index": _none,
    "finish_reason": _none,
    "delta": _none,
    "message": _none,
    "text": _none,
    "error": _none,
    "logprobs": _is_logprobs,
}
_MESSAGE: _Fields = {
    "role": _none,
    "content": _none,
    "reasoning": _none,
    "reasoning_content": _none,
    "refusal": _none,
    "tool_calls": _none,
    "function_call": _none,
    "id": _is_text,
    "name": _is_text,
    "audio": _is_audio,
    "annotations": _are_annotations,
}
