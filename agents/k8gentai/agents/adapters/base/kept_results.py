"""Keeps what a tool returned as text, while a person is asked: what is read back equals it, type for type.

What is no JSON is written with the name of its class. Reading imports nothing, and makes only records (of
pydantic and of ``dataclasses``), enums, plain values, and objects of the classes that a framework has for results:
who can write to Redis must not choose what code runs.
"""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from inspect import isfunction
from pathlib import PurePath
from typing import Any
from uuid import UUID

from pydantic import BaseModel, TypeAdapter

from k8gentai.agents.text.utf8 import message_of

_CLASS, _ITEMS, _STATE, _VALUE = "$class", "$items", "$state", "$value"
"""Keys of what is kept of a value that is no JSON: its class, and its items, attributes, or JSON of pydantic's."""

_COLLECTIONS = (dict, tuple, set, frozenset)

_NUMBERS = (bool, int, float, complex, Decimal)
_PLAIN = (BaseModel, Enum, tuple, str, bytes, *_NUMBERS, date, time, timedelta, PurePath, UUID)
"""The classes, with theirs below them, whose making runs no other code than that of the class."""


def round_trip[T](value: T, write: Callable[[T], str], read: Callable[[str], Any]) -> str | None:
    """Write a value as text. Returns None where reading that does not make an equal one, type for type.

    Args:
        value: any object of the agent's.
        write: writes it.
        read: reads that.
    """
    try:
        text = write(value)
        return text if is_same(value, read(text)) else None
    except Exception:  # noqa: BLE001 - objects of an agent's own, which may fail by whatever is done with them
        return None


def write_result(value: object, kinds: tuple[type, ...] = ()) -> str:
    """Return a value as JSON, with the classes of what is none.

    Args:
        value: what a tool returned.
        kinds: the classes of which objects are written by their attributes.

    Raises:
        Exception: pydantic has no form for it.
    """
    return json.dumps(_node(value, kinds))


def read_result(text: str, kinds: tuple[type, ...] = ()) -> Any:
    """Return what :func:`write_result` wrote.

    Raises:
        ValueError: the text is no JSON, or what it holds is none of its class.
        LookupError: no such class is loaded.
    """
    try:
        return _value(json.loads(text), kinds)
    except LookupError:
        raise
    except Exception as error:
        # Whatever a class makes of what its earlier version wrote.
        raise ValueError(f"what this tool returned cannot be read back: {message_of(error)}") from error


def is_same(first: object, second: object) -> bool:
    """Return whether two values are equal, type for type, and so the values in them. Not compared are the names of
    time zones, which fields of a record were given, how long a deque may be, and whether two are one object.
    """
    if type(first) is not type(second):
        return False
    if isinstance(first, dict) and isinstance(second, dict):
        return is_same(list(first), list(second)) and is_same(list(first.values()), list(second.values()))
    if isinstance(first, list | tuple) and isinstance(second, list | tuple):
        return len(first) == len(second) and all(map(is_same, first, second))
    if isinstance(first, set | frozenset) and isinstance(second, set | frozenset):
        return {(type(each), each) for each in first} == {(type(each), each) for each in second}
    if (parts := _parts(first)) is not None:
        return is_same(parts, _parts(second))
    return bool(first == second) or (first != first and second != second)


def _parts(value: object) -> list[Any] | None:
    """Return what an object consists of; None where it is to be compared by itself."""
    if isinstance(value, BaseModel):
        return [vars(value), value.__pydantic_extra__, value.__pydantic_private__]
    if is_dataclass(value):
        return [getattr(value, field.name, None) for field in fields(value)]
    is_plain = type(value).__new__ is object.__new__ and hasattr(value, "__dict__")
    return [vars(value)] if is_plain else None


def _node(value: Any, kinds: tuple[type, ...]) -> Any:
    """Return a value as JSON has it."""
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return value
    if kind is list:
        return [_node(item, kinds) for item in value]
    if kind is dict and _CLASS not in value and all(type(key) is str for key in value):
        return {key: _node(item, kinds) for key, item in value.items()}
    named = {_CLASS: f"{kind.__module__}:{kind.__qualname__}"}
    if kind in _COLLECTIONS:
        items = value.items() if kind is dict else value
        return {**named, _ITEMS: [_node(item, kinds) for item in items]}
    if isinstance(value, kinds):
        return {**named, _STATE: {name: _node(item, kinds) for name, item in vars(value).items()}}
    return {**named, _VALUE: TypeAdapter(kind).dump_json(value, by_alias=True, warnings=False).decode()}


def _value(node: Any, kinds: tuple[type, ...]) -> Any:
    """Return the value of what :func:`_node` made of it."""
    if isinstance(node, list):
        return [_value(item, kinds) for item in node]
    if not isinstance(node, dict):
        return node
    if _CLASS not in node:
        return {key: _value(item, kinds) for key, item in node.items()}
    kind = _loaded_class(node[_CLASS])
    if kind in _COLLECTIONS:
        return kind(_value(item, kinds) for item in node[_ITEMS])
    if _VALUE in node:
        return _reader(kind).validate_json(node[_VALUE])
    if not issubclass(kind, kinds):
        raise LookupError(f"{node[_CLASS]} is no class of results")
    made = object.__new__(kind)
    vars(made).update({name: _value(item, kinds) for name, item in node[_STATE].items()})
    return made


def _reader(kind: type[Any]) -> TypeAdapter[Any]:
    """Return what reads JSON as an object of a class.

    Raises:
        LookupError: such an object cannot be made of a text that somebody else may have written.
    """
    if not issubclass(kind, _PLAIN) and not is_dataclass(kind):
        raise LookupError(f"{kind.__qualname__} is neither a record nor a plain value")
    reader = TypeAdapter(kind)
    if any(function.__name__ == "import_string" for function in _functions(reader.core_schema)):
        raise LookupError(f"a field of {kind.__qualname__} (ImportString) imports what it names")
    return reader


def _functions(schema: Any) -> Iterator[Any]:
    """Return all functions that a schema of pydantic's calls."""
    if isinstance(schema, dict):
        for part in schema.values():
            yield from _functions(part)
    elif isinstance(schema, list | tuple):
        for part in schema:
            yield from _functions(part)
    elif isfunction(schema):
        yield schema


def _loaded_class(name: str) -> type[Any]:
    """Return the class of a name, where its module is imported.

    Raises:
        LookupError: there is none.
    """
    module, _, path = name.partition(":")
    found: Any = sys.modules.get(module)
    for part in path.split("."):
        # A module's own __getattr__ may import what it is asked for.
        found = getattr(found, "__dict__", {}).get(part)
    if not isinstance(found, type):
        raise LookupError(f"what this tool returned is of the class {name}, which is not loaded now")
    return found
