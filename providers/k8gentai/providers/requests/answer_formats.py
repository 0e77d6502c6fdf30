"""Checks the form that a request asks its answer to have (``text.format``)."""

import asyncio
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from jsonschema import SchemaError  # type: ignore[import-untyped]

from k8gentai.providers.errors import invalid, server_busy
from k8gentai.workers.attempt.json_schema import dialect_of, of_one_dialect

_NAME = re.compile("[a-zA-Z0-9_-]{1,64}")
"""The form of a name that model endpoints take: https://platform.openai.com/docs/api-reference/responses/create"""
_WORDS = 300
"""Characters of what is wrong with a schema that a message carries."""
_MOST_OBJECTS, _MOST_VALUES, _MOST_LEVELS = 5_000, 50_000, 100
"""The most that a schema may hold: the check of one takes up to a millisecond for each object in it."""
_MOST_MIXED = 1_000
"""The number of values that an array may hold that cannot be sorted: each is compared with each for being there
once."""
_SECONDS = 10.0
"""The seconds that a check may take, and that it may wait for others before it begins."""
_CHECKING = ThreadPoolExecutor(2, "schema")
"""Checks schemas. They do not take the threads that look up addresses."""


def check_format(asked: dict[str, Any]) -> None:
    """See that a format is one, but for its schema, of which it sees that it has one that is not too large.

    Args:
        asked: the request's ``text.format``; empty where it has none.

    Raises:
        ApiError: naming the field at fault (400).
    """
    if asked.get("type") != "json_schema":
        return
    for name in ("name", "schema"):
        if asked.get(name) is None:
            place = f"text.format.{name}"
            raise invalid(f"'{place}' is required with 'json_schema'.", place, "missing_required_parameter")
    if not _NAME.fullmatch(asked["name"]):
        raise invalid(
            "'text.format.name' must be 1 to 64 letters, digits, underscores and dashes.", "text.format.name"
        )
    if too_large := _too_large(asked["schema"]):
        raise invalid(f"'text.format.schema' is too large: {too_large}.", "text.format.schema")


async def check_schema(asked: dict[str, Any]) -> None:
    """See that a format's JSON schema is one, and refers to nothing outside it. Others are served meanwhile.

    Args:
        asked: the request's ``text.format``, checked by :func:`check_format`; empty where it has none.

    Raises:
        ApiError: naming the field at fault (400); its check did not begin in time, as others are checked (503).
    """
    if asked.get("type") != "json_schema":
        return
    fault = await _Check(asked["schema"]).fault()
    if fault:
        raise invalid(f"'text.format.schema' is no JSON schema: {fault}.", "text.format.schema")


class _Check:
    """The check of one schema, in a thread as soon as one is free."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self._schema = schema
        self._loop = asyncio.get_running_loop()
        self._begun = asyncio.Event()

    async def fault(self) -> str | None:
        """Find what is wrong with the schema, and where in it.

        Raises:
            ApiError: the check takes too long (400), or did not begin in time (503).
        """
        check = _CHECKING.submit(self._run)
        try:
            async with asyncio.timeout(_SECONDS):
                await self._begun.wait()
        except TimeoutError:
            raise server_busy() from None
        finally:
            # Of no effect once it has begun.
            check.cancel()
        try:
            async with asyncio.timeout(_SECONDS):
                return await asyncio.wrap_future(check)
        except TimeoutError:
            message = f"'text.format.schema' cannot be checked within {_SECONDS:.0f} seconds: make it smaller."
            raise invalid(message, "text.format.schema") from None

    def _run(self) -> str | None:
        self._loop.call_soon_threadsafe(self._begun.set)
        return _fault(self._schema)


def _too_large(schema: dict[str, Any]) -> str | None:
    """Find of what a JSON schema has too much."""
    level: list[Any] = [schema]
    objects = values = 0
    for _ in range(_MOST_LEVELS):
        objects += sum(isinstance(value, dict) for value in level)
        values += len(level)
        if objects > _MOST_OBJECTS:
            return f"it holds more than {_MOST_OBJECTS:,} objects"
        if any(isinstance(value, list) and _is_long(value) for value in level):
            return (
                f"it has an array of more than {_MOST_MIXED:,} values that are neither all texts nor all numbers"
            )
        level = [inner for value in level for inner in _inner(value)]
        if values + len(level) > _MOST_VALUES:
            return f"it holds more than {_MOST_VALUES:,} values"
        if not level:
            return None
    return f"it is nested more than {_MOST_LEVELS} levels deep"


def _is_long(values: list[Any]) -> bool:
    if len(values) <= _MOST_MIXED:
        return False
    return not any(all(isinstance(value, kind) for value in values) for kind in (str, int | float))


def _inner(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _fault(schema: dict[str, Any]) -> str | None:
    """Find what is wrong with a JSON schema, and where in it."""
    try:
        dialect_of(schema).check_schema(schema)
        of_one_dialect(schema)
    except SchemaError as error:
        return f"{error.json_path}: {error.message}"[:_WORDS]
    except RecursionError:
        return "it is nested too deeply"
    except ValueError as error:
        return str(error)[:_WORDS]
    return None
