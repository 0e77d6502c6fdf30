"""Reads the JSON schema of a client: its dialect, the schemas in it, and where its references lead."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from jsonschema.validators import Draft202012Validator, validator_for  # type: ignore[import-untyped]
from referencing import Registry, Specification
from referencing.jsonschema import specification_with

_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_SHOWN = 200
"""Characters of a reference that a message carries."""
_MOST_REFERRED = 5_000
"""The number of objects up to which targets of references that no keyword leads to are checked: a target that is
part of another is checked with that once more."""


def dialect_of(schema: dict[str, Any]) -> Any:
    """Return jsonschema's class of validators for the dialect of a schema.

    Raises:
        ValueError: what should name the dialect is no text.
    """
    if not isinstance(schema.get("$schema", ""), str):
        raise ValueError("its '$schema' is no text")
    return validator_for(schema, Draft202012Validator)


def of_one_dialect(schema: dict[str, Any]) -> dict[str, Any]:
    """Copy a schema without the names of dialects in it, for which jsonschema takes validators of its own.

    Values (``const``, ``enum``, ``default``, …) are left as they are. No address is looked up.

    Args:
        schema: the value that is a schema by its dialect.

    Returns:
        The copy; each of its references leads to a schema in it.

    Raises:
        ValueError: a reference does not, or it cannot be read for references.
        jsonschema.SchemaError: what a reference leads to is no schema.
        RecursionError: it is nested too deeply.
    """
    dialect = dialect_of(schema)
    specification = specification_with(dialect.ID_OF(dialect.META_SCHEMA), default=Specification.OPAQUE)
    copy = deepcopy(schema)
    try:
        _without_dialects(copy, specification)
        _follow_references(copy, specification, dialect.check_schema)
    except (AttributeError, TypeError) as error:
        # Such as draft 3's 'extends' with one schema: referencing takes it for a list of them.
        raise ValueError("it has something else where a schema is looked for") from error
    return copy


def _without_dialects(schema: Any, specification: Specification[Any]) -> None:
    left = [schema]
    while left:
        part = left.pop()
        if isinstance(part, dict):
            part.pop("$schema", None)
            left.extend(specification.subresources_of(part))


def _follow_references(
    schema: dict[str, Any], specification: Specification[Any], check: Callable[[Any], None]
) -> None:
    """Look up each reference, also of what is no schema but for a reference to it, which is then checked."""
    root = specification.create_resource(schema)
    registry: Registry[Any] = Registry().with_resource(root.id() or "", root).crawl()
    left: list[tuple[Any, Any]] = [(schema, registry.resolver(root.id() or ""))]
    references: list[tuple[Any, Any]] = []
    seen: set[int] = set()
    referred = 0
    while left or references:
        if not left:
            found = _looked_up(*references.pop())
            if id(found.contents) not in seen:
                referred += _objects(found.contents)
                if referred > _MOST_REFERRED:
                    raise ValueError(
                        f"its references lead to more than {_MOST_REFERRED:,} objects outside '$defs'"
                    )
                check(found.contents)
                _without_dialects(found.contents, specification)
                left.append((found.contents, found.resolver))
            continue
        part, outer = left.pop()
        if not isinstance(part, dict) or id(part) in seen:
            continue
        seen.add(id(part))
        resolver = outer.in_subresource(specification.create_resource(part))
        left.extend((inner, resolver) for inner in specification.subresources_of(part))
        references.extend((part[name], resolver) for name in _REFERENCES if name in part)


def _objects(schema: Any) -> int:
    """Return how many objects a schema holds."""
    objects, left = 0, [schema]
    while left:
        part = left.pop()
        objects += isinstance(part, dict)
        left += part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    return objects


def _looked_up(reference: Any, resolver: Any) -> Any:
    try:
        return resolver.lookup(reference)
    except Exception:  # noqa: BLE001 - of what is no text, no address, no number of an item, leads nowhere
        shown = f"{reference!r}"[:_SHOWN]
        raise ValueError(
            f"its reference {shown} leads to no place in it, and addresses are not looked up"
        ) from None
