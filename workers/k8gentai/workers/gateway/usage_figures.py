"""Reads the figures that endpoints report of an answer's tokens into those that the OpenAI API documents."""

from typing import Any

from k8gentai.workers.gateway.answer_parts import LARGEST, Chunk, sent_choices

_RESPONSES_NAMES = {
    "prompt_tokens": "input_tokens",
    "completion_tokens": "output_tokens",
    "prompt_tokens_details": "input_tokens_details",
    "completion_tokens_details": "output_tokens_details",
}
"""The names of figures in chat completions, and in the Responses API."""
_DETAILS = "_tokens_details"
"""The end of the names of the objects in a usage: any other field is a figure, or nothing to count with."""
_ANTHROPIC_CACHED = ("cache_read_input_tokens", "cache_creation_input_tokens")


def sent_usages(sent: Chunk) -> list[dict[str, Any]]:
    """Return the usage in a chunk or completion, and in the other places where endpoints have it."""
    places = [sent, sent.get("x_groq"), *sent_choices(sent)]
    found = [place.get("usage") for place in places if isinstance(place, dict)]
    return [usage for usage in found if usage and isinstance(usage, dict)]


def read_usage(sent: Any) -> dict[str, Any] | None:
    """Return a usage without the counts of tokens that cannot be counted with; None where it has none. What
    endpoints tell beside these, as a price, is left as it is."""
    if not isinstance(sent, dict):
        return None
    others = {name: value for name, value in sent.items() if not name.endswith(("_tokens", _DETAILS))}
    return {**others, **_counts(sent), **_details(sent)}


def add_usage(known: dict[str, Any], sent: Any) -> None:
    """Take figures that may have come before: those of a stream only ever grow."""
    for name, value in sent.items() if isinstance(sent, dict) else ():
        if name.endswith(_DETAILS):
            if isinstance(value, dict):
                add_usage(known.setdefault(name, {}), value)
        elif (count := token_count(value)) is not None:
            known[name] = max(count, token_count(known.get(name)) or 0)
        elif value is not None:
            known.setdefault(name, value)


def figures(sent: dict[str, Any]) -> dict[str, Any]:
    """Return the usage of an answer with all the counts that the API documents; 0 where none can be read."""
    usage = _renamed(sent)
    counts = {"prompt_tokens": 0, "completion_tokens": 0, **_counts(usage)}
    total = counts["prompt_tokens"] + counts["completion_tokens"]
    return {"total_tokens": total, **counts, **_details(usage)}


def embedding_figures(sent: Any) -> dict[str, int]:
    """Return the usage of an embedding with the counts that the API documents; 0 where none can be read."""
    counts = _counts(sent) if isinstance(sent, dict) else {}
    return {"prompt_tokens": 0, "total_tokens": counts.get("prompt_tokens", 0), **counts}


def _details(usage: dict[str, Any]) -> dict[str, dict[str, int]]:
    """Return what a usage counts of its figures' parts."""
    return {name: _counts(value) for name, value in usage.items() if _are_details(name, value)}


def _are_details(name: str, value: Any) -> bool:
    return name.endswith(_DETAILS) and isinstance(value, dict)


def _renamed(usage: dict[str, Any]) -> dict[str, Any]:
    """Return a usage in the words of chat completions, where it is in those of the Responses API or of Anthropic,
    which counts what was cached beside its input."""
    old = {new: usage.get(name) for new, name in _RESPONSES_NAMES.items() if usage.get(new) is None}
    named = {**usage, **{name: value for name, value in old.items() if value is not None}}
    cached = [_counts(usage).get(name, 0) for name in _ANTHROPIC_CACHED]
    if "prompt_tokens" in old and any(cached):
        named["prompt_tokens"] = _counts(named).get("prompt_tokens", 0) + sum(cached)
        named.setdefault("prompt_tokens_details", {"cached_tokens": cached[0]})
    return named


def _counts(sent: dict[str, Any]) -> dict[str, int]:
    counted = ((name, token_count(value)) for name, value in sent.items() if not name.endswith(_DETAILS))
    return {name: count for name, count in counted if count is not None}


def token_count(sent: Any) -> int | None:
    """Return a figure of a usage; None where it is no whole number that can be counted with, as one below zero."""
    if isinstance(sent, str) and sent.isascii() and sent.isdecimal():
        sent = int(sent[: len(str(LARGEST)) + 1])
    if isinstance(sent, bool) or not isinstance(sent, int | float):
        return None
    return int(sent) if 0 <= sent <= LARGEST and sent == int(sent) else None
