"""Checks the form that a request asks its answer to have (``text.format``)."""

import re
from typing import Any

from jsonschema import SchemaError  # type: ignore[import-untyped]

from k8gentai.providers.errors import invalid
from k8gentai.workers.json_schema import dialect_of, of_one_dialect

_NAME = re.compile("[a-zA-Z0-9_-]{1,64}")
"""What model endpoints take: https://platform.openai.com/docs/api-reference/responses/create"""
_WORDS = 300
"""Characters of what is wrong with a schema that a message carries."""


def check_format(asked: dict[str, Any]) -> None:
    """See that a format is one: a JSON schema has a name, is a schema, and refers to nothing outside it.

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
    if fault := _fault(asked["schema"]):
        raise invalid(f"'text.format.schema' is no JSON schema: {fault}.", "text.format.schema")


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
