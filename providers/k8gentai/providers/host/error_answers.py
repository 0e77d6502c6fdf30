"""Errors that endpoints answer with status 200, as OpenRouter does, have the status of an error."""

from typing import Any

from k8gentai.agents.text.json_text import json_text, read_json
from k8gentai.agents.text.utf8 import encodable
from k8gentai.workers.http.sent_errors import error_status, innermost_error, sent_error

_OK, _BAD_GATEWAY = 200, 502
_ANSWERS = ("choices", "data")
"""The fields that completions and embeddings hold."""
_WORDS = 300


def is_json(response: Any) -> bool:
    """Return whether a response of httpx is good and says that it is JSON."""
    is_good: bool = response.status_code == _OK
    return is_good and response.headers.get("content-type", "").startswith("application/json")


async def take_error(response: Any) -> None:
    """Give a good response that is an error the status that the error names, or 502. A client that is handed it
    then tries again as often as such an error is worth, and raises what the endpoint says.

    Args:
        response: httpx's, whose body need not be read.
    """
    if not is_json(response):
        return
    try:
        sent = read_json(await response.aread())
    except ValueError:
        return
    if isinstance(sent, dict) and any(sent.get(name) for name in _ANSWERS):
        return
    if error := sent_error(sent):
        response.status_code = error_status(innermost_error(error)) or _BAD_GATEWAY


def no_answer(content: bytes) -> dict[str, Any] | None:
    """Return the error that tells of a body which is neither an answer nor an error; None for one that is.

    Args:
        content: the body of a good response, which was to be a completion or embeddings.
    """
    try:
        sent = read_json(content)
    except ValueError:
        sent = content.decode(errors="replace")
    if isinstance(sent, dict) and any(sent.get(name) is not None for name in _ANSWERS):
        return None
    return {"error": {"message": f"it answered with no completion: {_said(sent)}", "type": "server_error"}}


def _said(sent: Any) -> str:
    """Return what such a body says, as far as a message carries it."""
    said = innermost_error(sent)
    words = (said.get("message") or said.get("detail")) if isinstance(said, dict) else said
    text = words if isinstance(words, str) and words.strip() else json_text(sent)
    return " ".join(encodable(text).split())[:_WORDS]
