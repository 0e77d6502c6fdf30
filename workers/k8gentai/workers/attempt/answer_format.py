"""Checks an agent's answer against the form that a request asks it to have (``text.format``).

The schema is a client's. No address in it is looked up, and the check ends after some seconds. What cannot be
checked is no fault of an answer: neither by itself, nor where a schema turns on whether it holds.
"""

import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import structlog
from jsonschema.exceptions import ValidationError, best_match  # type: ignore[import-untyped]
from jsonschema.validators import extend  # type: ignore[import-untyped]
from referencing.jsonschema import EMPTY_REGISTRY

from k8gentai.agents.adapters.base.answer_text import is_json
from k8gentai.agents.text.json_text import strict_json
from k8gentai.workers.attempt.json_schema import dialect_of, of_one_dialect
from k8gentai.workers.attempt.patterns import Patterns

_SECONDS = 5.0
"""The seconds that a check may take; parts that it has not come to by then are not checked."""
_WORDS = 300
"""Characters of what is wrong with an answer that a message carries."""
_EXACT = 2**53
"""Up to here floats are the whole numbers that they are written as."""
_TURNING = ("contains", "disallow", "not", "oneOf", "unevaluatedItems")
"""Keywords that may refuse a value because it is of a schema: one too many, or one that it must not be of."""

_Check = Callable[[Any, Any, Any, Any], Iterator[ValidationError]]
"""A keyword's function, as jsonschema has it: of the validator, the keyword's value, the answer's, the schema."""

log = structlog.get_logger(__name__)


def format_fault(text: str, asked: dict[str, Any]) -> str | None:
    """Find why an answer is not of the form that a request asks for.

    Patterns that need more than a finite automaton or are large, properties that go by patterns, unevaluated
    properties and formats of texts are not checked; neither is a schema that need not be kept (``strict: false``).

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
    fault = best_match(_faults(strict_json(text), asked["schema"]))
    if fault is None:
        return None
    found = fault.message
    if len(found) > _WORDS:
        # It begins with the value, and ends with what is wrong with it.
        found = f"{found[: _WORDS // 2]} … {found[-_WORDS // 2 :]}"
    return f"the answer is not of the schema that the request asks for: {fault.json_path[:_WORDS]}: {found}"


def _faults(value: Any, schema: dict[str, Any]) -> Iterator[ValidationError]:
    """Yield what is wrong with a value, as far as the check comes."""
    try:
        yield from _validator(schema).iter_errors(value)
    except Exception as error:  # noqa: BLE001 - out of time, or a reference that leads round in a circle
        log.warning("format_not_wholly_checked", error=type(error).__name__)


def _validator(schema: dict[str, Any]) -> Any:
    """Return what checks a value against a schema, each time anew: its time is limited."""
    dialect = dialect_of(schema)
    checks = _Checks(dialect.VALIDATORS).by_keyword()
    return extend(dialect, checks)(of_one_dialect(schema), registry=EMPTY_REGISTRY)


class _Checks:
    """Makes the functions of a dialect's keywords, for one check.

    Args:
        given: jsonschema's own.
    """

    def __init__(self, given: dict[str, Any]) -> None:
        self._given = given
        self._patterns = Patterns()
        self._end = time.monotonic() + _SECONDS
        self._unchecked = 0
        """The number of keywords so far that could not be checked."""

    def by_keyword(self) -> dict[str, _Check]:
        """Return each keyword's function."""
        own: dict[str, _Check] = {
            "additionalProperties": self._additional,
            "divisibleBy": _multiple_of,
            "format": self._skip,
            "if": self._if,
            "multipleOf": _multiple_of,
            "pattern": self._pattern,
            "patternProperties": self._skip,
            "unevaluatedProperties": self._skip,
            "uniqueItems": self._unique_items,
            **{keyword: self._sure(self._given[keyword]) for keyword in _TURNING if keyword in self._given},
        }
        return {keyword: self._timed(own.get(keyword, check)) for keyword, check in self._given.items()}

    def _timed(self, check: _Check) -> _Check:
        def timed(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
            self._go_on()
            yield from check(validator, wanted, value, schema) or ()

        return timed

    def _go_on(self) -> None:
        """Raise TimeoutError at the end of the time."""
        if time.monotonic() >= self._end:
            raise TimeoutError

    def _sure(self, check: _Check) -> _Check:
        """Return a function that finds no fault which rests on what was not checked."""

        def sure(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
            before = self._unchecked
            for error in list(check(validator, wanted, value, schema) or ()):
                # With a context it is of none of the schemas, and that is sure.
                if self._unchecked == before or error.context:
                    yield error

        return sure

    def _if(self, validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
        before = self._unchecked
        branch = "then" if validator.evolve(schema=wanted).is_valid(value) else "else"
        if branch in schema and (branch == "else" or self._unchecked == before):
            yield from validator.descend(value, schema[branch], schema_path=branch)

    def _skip(self, validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
        self._unchecked += 1
        yield from ()

    def _additional(self, validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
        check = self._skip if "patternProperties" in schema else self._given["additionalProperties"]
        yield from check(validator, wanted, value, schema) or ()

    def _pattern(self, validator: Any, pattern: str, value: Any, schema: Any) -> Iterator[ValidationError]:
        found = self._patterns.is_in(pattern, value) if isinstance(value, str) else True
        if found is None:
            self._unchecked += 1
        elif not found:
            yield ValidationError(f"{value!r} does not match {pattern!r}")

    def _unique_items(self, validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
        if wanted and isinstance(value, list) and len({self._key(item) for item in value}) < len(value):
            yield ValidationError(f"{value!r} has non-unique elements")

    def _key(self, value: Any) -> Any:
        """Return what equal values of JSON have in common, hashable."""
        self._go_on()
        if isinstance(value, dict):
            return frozenset((name, self._key(part)) for name, part in value.items())
        if isinstance(value, list):
            return ("array", *map(self._key, value))
        return ("truth", value) if isinstance(value, bool) else _number_key(value)


def _multiple_of(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
    if validator.is_type(value, "number") and _written(value) % _written(wanted):
        yield ValidationError(f"{value!r} is not a multiple of {wanted}")


def _written(number: float) -> Fraction:
    """Return a number as JSON writes it: 0.01 is a hundredth, which no float is."""
    return Fraction(str(number))


def _number_key(value: Any) -> Any:
    """Return what equal numbers have in common; any other value as it is."""
    if not isinstance(value, int | float) or abs(value) <= _EXACT or value % 1:
        # Python compares these as they are written.
        return value
    return "number", str(_written(value))
