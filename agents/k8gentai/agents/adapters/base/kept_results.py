"""Keeps what a tool returned as text, while a person is asked: what is read back equals it, type for type.

What is no JSON is written with the name of its class. Reading imports nothing, and makes only records (of
pydantic and of ``dataclasses``), enums, plain values, and objects of the classes that a framework has for results.
Who can write to Redis must not choose what code runs: of what validates a record, only the agent's own code and
pydantic's types are let.
"""

import functools
import inspect
import json
import sys
from collections.abc import Callable, Collection, Iterator
from dataclasses import fields, is_dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

from pydantic import BaseModel, TypeAdapter

from k8gentai.agents.code.loaded_classes import loaded_class
from k8gentai.agents.text.utf8 import message_of

_CLASS, _ITEMS, _STATE, _VALUE = "$class", "$items", "$state", "$value"
"""Keys of what is kept of a value that is no JSON: its class, and its items, attributes, or JSON of pydantic's."""

_COLLECTIONS = (dict, tuple, set, frozenset)

_NUMBERS = (bool, int, float, complex, Decimal)
_PLAIN = (BaseModel, Enum, tuple, str, bytes, *_NUMBERS, date, time, timedelta, PurePath, UUID)
"""The classes that may be made, with theirs below them."""

_NOT_READ = ("serialization", "metadata", "cls")
"""Parts of a schema of pydantic's whose functions get nothing of what is read."""

_TAKES_DATA = "default_factory_takes_data"

_MAKING = ("__new__", "__init__", "__post_init__", "model_post_init", "_missing_")
"""The functions of a class that are called where an object of it is made."""

_PYTHONS = ("builtins", "_operator")
"""Modules of Python that are in no file."""

_INSTALLED = {"site-packages", "dist-packages"}
"""Folders of installed packages."""


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
        value: the value that a tool returned.
        kinds: the classes of which objects are written by their attributes.

    Raises:
        Exception: pydantic has no form for it.
    """
    return json.dumps(_node(value, kinds))


def read_result(text: str, kinds: tuple[type, ...] = (), records: tuple[type, ...] = ()) -> Any:
    """Return what :func:`write_result` wrote.

    Args:
        text: the text that was written.
        kinds: the classes of which objects are made of their attributes.
        records: records of an installed package whose own code may run.

    Raises:
        ValueError: the text is no JSON, or what it holds is none of its class.
        LookupError: no such class is loaded.
    """
    try:
        modules = {record.__module__ for record in records}
        return _value(json.loads(text), kinds, modules)
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


def _value(node: Any, kinds: tuple[type, ...], modules: Collection[str]) -> Any:
    """Return the value of what :func:`_node` made of it."""
    if isinstance(node, list):
        return [_value(item, kinds, modules) for item in node]
    if not isinstance(node, dict):
        return node
    if _CLASS not in node:
        return {key: _value(item, kinds, modules) for key, item in node.items()}
    kind = loaded_class(node[_CLASS])
    if kind in _COLLECTIONS:
        return kind(_value(item, kinds, modules) for item in node[_ITEMS])
    if _VALUE in node:
        return _reader(kind, modules).validate_json(node[_VALUE])
    if not issubclass(kind, kinds):
        raise LookupError(f"{node[_CLASS]} is no class of results")
    made = object.__new__(kind)
    vars(made).update({name: _value(item, kinds, modules) for name, item in node[_STATE].items()})
    return made


def _reader(kind: type[Any], modules: Collection[str]) -> TypeAdapter[Any]:
    """Return what reads JSON as an object of a class.

    Args:
        kind: the class.
        modules: modules of installed packages whose code may run.

    Raises:
        LookupError: such an object cannot be made of a text that somebody else may have written.
    """
    if not issubclass(kind, _PLAIN) and not is_dataclass(kind):
        raise LookupError(f"{kind.__qualname__} is neither a record nor a plain value")
    reader = TypeAdapter(kind)
    for function in _called(reader.core_schema):
        if not _is_trusted(function, modules):
            name = getattr(function, "__qualname__", repr(function))
            raise LookupError(f"making a {kind.__qualname__} runs {name} of an installed package")
    return reader


def _called(schema: Any) -> Iterator[Any]:
    """Return all functions that may be called where a schema of pydantic's reads what somebody wrote."""
    if isinstance(schema, list | tuple):
        for part in schema:
            yield from _called(part)
    elif isinstance(schema, dict):
        yield from _made_by(schema)
        for name, part in schema.items():
            if name not in _NOT_READ and not (name == "default_factory" and not schema.get(_TAKES_DATA)):
                yield from _called(part)
    elif callable(schema) and not isinstance(schema, type):
        yield schema


def _made_by(schema: dict[Any, Any]) -> Iterator[Any]:
    """Return the functions by which a class makes what is read of it."""
    kind = schema.get("cls")
    if schema.get("type") == "call":
        kind = schema["function"]
    if not isinstance(kind, type):
        return
    for name in _MAKING:
        made_by = inspect.getattr_static(kind, name, None)
        if isinstance(made_by, staticmethod | classmethod):
            made_by = made_by.__func__
        # Those that dataclasses and named tuples generate are in no file.
        if inspect.isfunction(made_by) and not made_by.__code__.co_filename.startswith("<"):
            yield made_by


def _is_trusted(function: Any, modules: Collection[str]) -> bool:
    """Return whether a function is of the agent's own code, of pydantic's own types, or of one of the modules.

    An installed package has code that imports or runs what it is given, as CrewAI has to read tools.
    """
    while isinstance(function, functools.partial):
        function = function.func
    function = getattr(function, "__func__", function)
    module = getattr(function, "__module__", None) or type(function).__module__
    if module.partition(".")[0] in ("pydantic", "pydantic_core"):
        return getattr(function, "__name__", "") != "import_string"
    if module in modules:
        return True
    file = getattr(sys.modules.get(module), "__file__", None)
    return module in _PYTHONS or (file is not None and not _INSTALLED.intersection(PurePath(file).parts))
