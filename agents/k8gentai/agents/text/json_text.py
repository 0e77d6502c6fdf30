"""JSON that every reader takes: Python's own writes and reads NaN and Infinity, which are not JSON."""

import json
import math
import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator
from pydantic_core import PydanticSerializationError, to_json

from k8gentai.agents.text.utf8 import Text, encodable, jsonable

MAX_DEPTH = 100
"""The depth to which objects and lists may be nested. pydantic gives up at 255, and Python's own reader where its
stack is used up: what one of them reads, the other may refuse."""

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|-?\bInfinity\b|\bNaN\b')
"""A string, or a number that is none, of what Python writes as JSON."""


def read_json(text: str | bytes) -> Any:
    """Read JSON text; numbers that are none become null.

    Raises:
        ValueError: it is not JSON, or is nested too deeply.
    """
    try:
        return json.loads(text, parse_constant=lambda _: None, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def strict_json(text: str) -> Any:
    """Read JSON text. NaN and Infinity are not JSON, and neither are numbers that are as large.

    Raises:
        ValueError: it is not JSON.
        RecursionError: it is nested too deeply.
    """
    return json.loads(text, parse_constant=_refuse, parse_float=_measured)


def is_too_deep(value: object) -> bool:
    """Return whether a value's objects and lists are nested more deeply than :data:`MAX_DEPTH`."""
    level = _nested([value])
    for _ in range(MAX_DEPTH):
        level = [inner for value in level for inner in _nested(value)]
    return bool(level)


def arguments_object(text: str) -> dict[str, Any] | None:
    """Read the arguments of a tool call; None where the text is no JSON object, or is nested too deeply."""
    return _object(text, strict_json)


def json_arguments(text: str) -> str:
    """Return the arguments of a tool call in a form that every reader takes: as they are where they are a JSON
    object, with null in place of NaN and Infinity where they are one but for these, and else an empty one."""
    if arguments_object(text) is not None or not text.strip():
        return text
    read = _object(text, read_json)
    return "{}" if read is None else json.dumps(read, ensure_ascii=False)


def json_text(value: object) -> str:
    """Return any value as JSON text, without spaces. What JSON has no word for becomes its text, NaN null."""
    try:
        return to_json(value, inf_nan_mode="null", fallback=str).decode()
    except PydanticSerializationError:
        return json.dumps(jsonable(value), ensure_ascii=False, separators=(",", ":"))


def shown_json(value: object) -> str:
    """Return the same in the form that arguments of calls and questions are shown in, with a space after each
    comma.
    """
    try:
        return encodable(json.dumps(value, ensure_ascii=False, allow_nan=False))
    except (ValueError, TypeError):
        return json.dumps(jsonable(value), ensure_ascii=False)


def result_json(text: str) -> str:
    """Return a tool's result as text, with null in place of NaN and Infinity where it is an object or array that
    Python wrote: serializers of frameworks, MCP servers and agents do. Any other text is returned as it is."""
    if not ("NaN" in text or "Infinity" in text) or text.lstrip()[:1] not in ("{", "["):
        return text
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return text
    return _TOKEN.sub(lambda token: token[0] if token[0].startswith('"') else "null", text)


def _object(text: str, read: Callable[[str], Any]) -> dict[str, Any] | None:
    try:
        value = read(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and not is_too_deep(value) else None


def _nested(value: Any) -> list[Any]:
    """Return the objects and lists in an object or a list."""
    inside = value.values() if isinstance(value, dict) else value
    return [inner for inner in inside if isinstance(inner, dict | list)]


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _measured(number: str) -> float:
    if (value := _finite(number)) is None:
        raise ValueError(f"{number} is too large")
    return value


def _finite(number: str) -> float | None:
    value = float(number)
    return value if math.isfinite(value) else None


ResultText = Annotated[Text, AfterValidator(result_json)]
"""A tool's result in an event."""
