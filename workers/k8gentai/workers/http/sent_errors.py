"""Finds the errors in what model endpoints send, whichever of the usual shapes these have."""

import json
from dataclasses import dataclass
from typing import Any, Self

_WORDLESS = {"message": "it sent an error that says nothing"}
_MOST_LAYERS = 5


@dataclass(frozen=True)
class SentError:
    """An error as a peer reports it, whichever of the usual shapes it has."""

    message: str
    code: object = None
    kind: str = ""
    status: int | None = None
    """The HTTP status that it names, where it does."""

    @classmethod
    def of(cls, body: Any) -> Self:
        """Read the JSON of an error: OpenAI's, FastAPI's, or a text alone."""
        error = innermost_error(body)
        if not isinstance(error, dict):
            return cls(str(error))
        message = error.get("message") or error.get("detail") or json.dumps(error)
        code = error.get("code")
        return cls(str(message), code, f"{error.get('type') or ''} {code or ''}", error_status(error))


def sent_error(sent: Any) -> Any:
    """Return the error that a chunk or an answer is, or holds, as it was sent; None where there is none.

    Args:
        sent: JSON. A list of errors is its first one, and an empty error is one where no choices are beside it.
    """
    if isinstance(sent, list):
        return next((error for each in sent if isinstance(each, dict) and (error := sent_error(each))), None)
    if not isinstance(sent, dict):
        return None
    if sent.get("object") == "error":
        return sent
    error = sent.get("error")
    if not error and "choices" not in sent and isinstance(errors := sent.get("errors"), list) and any(errors):
        return errors
    if error == {} and "choices" not in sent:
        return _WORDLESS
    return error or None


def innermost_error(error: Any) -> Any:
    """Return an error without the lists and objects around it: the object that has its words, or these alone."""
    for _ in range(_MOST_LAYERS):
        if not (inner := _inner(error)):
            break
        error = inner
    if isinstance(error, dict) and isinstance(words := error.get("error"), str) and not error.get("message"):
        return {**error, "message": words}
    return error


def error_status(error: Any) -> int | None:
    """Return the HTTP status that an error names; None where it names none."""
    if not isinstance(error, dict):
        return None
    for named in (error.get("status"), error.get("code")):
        if str(named).isdecimal() and (status := int(str(named)[:9])) in range(400, 600):
            return status
    return None


def _inner(error: Any) -> Any:
    """Return what a list or an object is around; None where it is the error itself."""
    if isinstance(error, list):
        return next((each for each in error if each), None)
    if not isinstance(error, dict):
        return None
    inner, detail, several = error.get("error"), error.get("detail"), error.get("errors")
    if isinstance(inner, dict | list):
        return inner
    if isinstance(several, list) and any(several) and not (inner or detail or error.get("message")):
        return several
    return detail if isinstance(detail, dict) and (detail.get("error") or detail.get("message")) else None
