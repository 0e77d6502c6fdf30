"""Checks an agent's answer against the form that a request asks it to have (``text.format``).

The schema is a client's. No address in it is looked up, the steps of a check are counted, and patterns are
searched for by an engine whose time grows with the text alone.
"""

from collections.abc import Callable, Iterator
from typing import Any

from jsonschema.exceptions import ValidationError, best_match  # type: ignore[import-untyped]
from jsonschema.validators import Draft202012Validator, extend, validator_for  # type: ignore[import-untyped]
from pydantic_core import SchemaError, SchemaValidator, core_schema
from referencing.jsonschema import EMPTY_REGISTRY

from k8gentai.agents.answers import is_json
from k8gentai.agents.json_text import strict_json

_STEPS = 200_000
"""How often keywords of a schema are applied to one answer, at most: some seconds' worth."""
_COMPARED_ITEMS = 1_000
"""How long an array may be whose items are compared with each other."""
_WORDS = 300
"""Characters of what is wrong with an answer that a message carries."""

_Check = Callable[[Any, Any, Any, Any], Iterator[ValidationError] | None]
"""A keyword's function, as jsonschema has it: of the validator, the keyword's value, the answer's, the schema."""


def format_fault(text: str, asked: dict[str, Any]) -> str | None:
    """Find why an answer is not of the form that a request asks for.

    Patterns that need more than a finite automaton, properties that go by patterns, and the uniqueness of the
    items of long arrays are not checked; neither is a schema that need not be kept (``strict: false``).

    Args:
        text: the answer.
        asked: the request's ``text.format``.

    Returns:
        The fault, for a person; None where there is none.
    """
    if not is_json(text):
        return f"the request asks for JSON, and the agent answered {'in other words' if text else 'nothing'}"
    if asked.get("type") != "json_schema" or asked.get("strict") is False:
        return None
    try:
        fault = best_match(_validator(asked["schema"]).iter_errors(strict_json(text)))
    except Exception as error:  # noqa: BLE001 - as a reference that leads nowhere, or round in a circle
        return f"the answer cannot be checked against the schema: {type(error).__name__}: {error}"[:_WORDS]
    if fault is None:
        return None
    found = fault.message
    if len(found) > _WORDS:
        # It begins with the value, and ends with what is wrong with it.
        found = f"{found[: _WORDS // 2]} … {found[-_WORDS // 2 :]}"
    return f"the answer is not of the schema that the request asks for: {fault.json_path[:_WORDS]}: {found}"


def _validator(schema: dict[str, Any]) -> Any:
    """Return what checks values against a schema, each time anew: its steps are counted."""
    dialect = validator_for(schema, Draft202012Validator)
    checks = {**dialect.VALIDATORS, **_bounded(dialect.VALIDATORS)}
    work = _Work()
    counting = extend(dialect, {keyword: work.counted(check) for keyword, check in checks.items()})
    return counting(_of_one_dialect(schema), registry=EMPTY_REGISTRY)


class _Work:
    """Counts the steps of one check."""

    def __init__(self) -> None:
        self._left = _STEPS

    def counted(self, check: _Check) -> _Check:
        """Return a keyword's function that counts its calls."""

        def count(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
            self._left -= 1
            if self._left < 0:
                raise TimeoutError(f"it takes more than {_STEPS:,} steps")
            yield from check(validator, wanted, value, schema) or ()

        return count


def _of_one_dialect(schema: Any) -> Any:
    """Return a schema without the names of dialects in it, for which jsonschema takes validators of its own."""
    if isinstance(schema, list):
        return [_of_one_dialect(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    named = {name: part for name, part in schema.items() if name != "$schema" or not isinstance(part, str)}
    return {name: _of_one_dialect(part) for name, part in named.items()}


def _bounded(checks: dict[str, _Check]) -> dict[str, _Check]:
    """Return functions in place of those of keywords whose work is not bounded by their steps."""

    def unique_items(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
        if not isinstance(value, list) or len(value) <= _COMPARED_ITEMS:
            yield from checks["uniqueItems"](validator, wanted, value, schema) or ()

    def additional(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
        if "patternProperties" not in schema:
            yield from checks["additionalProperties"](validator, wanted, value, schema) or ()

    return {
        "pattern": _pattern,
        "patternProperties": _unchecked,
        "unevaluatedProperties": _unchecked,
        "uniqueItems": unique_items,
        "additionalProperties": additional,
    }


def _pattern(validator: Any, pattern: str, value: Any, schema: Any) -> Iterator[ValidationError]:
    if not isinstance(value, str):
        return
    try:
        matching = SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))
    except SchemaError:
        return
    if not matching.isinstance_python(value):
        yield ValidationError(f"{value!r} does not match {pattern!r}")


def _unchecked(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
    yield from ()
