"""Objects that an agent's code holds or names, found without running any of it."""

import dis
import functools
import inspect
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import is_dataclass
from typing import Any, TypeGuard, is_typeddict

from pydantic import BaseModel

from k8gentai.agents.code.loading import is_own_code

_MOST = 100_000
"""Objects that are looked at: an agent may hold a table of data."""

_PLAIN = (str, bytes, int, float, complex, bool, type(None))


def reachable(root: object) -> Iterator[object]:
    """Yield an object and those it leads to, each once, the nearest first.

    A function leads to what it closes over and, where it is the agent's own code, to the globals that its code
    names; a class of the agent's own code to its methods; anything else to its attributes and members. Modules
    lead nowhere. No property is read.

    Args:
        root: the object that an entrypoint names.
    """
    seen = {id(root)}
    found = [root]
    for part in found:
        yield part
        for child in _children(part):
            if not isinstance(child, _PLAIN) and id(child) not in seen and len(found) < _MOST:
                seen.add(id(child))
                found.append(child)


def handed_on(root: object) -> set[str]:
    """Find the names of functions that the agent's own code makes or hands on, rather than calls: frameworks make
    tools of such.

    Args:
        root: the object that an entrypoint names.
    """
    names: set[str] = set()
    for part in reachable(root):
        if _is_own_function(part):
            names |= _handed_on(part.__code__, part.__globals__)
        elif isinstance(part, list | tuple | set | dict):
            members = part.values() if isinstance(part, dict) else part
            names |= {member.__name__ for member in members if _is_own_function(member)}
    return names


def data_classes(root: object) -> set[str]:
    """Find the names of the data classes in the agent's own code and beside its functions: a model may be offered
    one in place of a tool.

    Args:
        root: the object that an entrypoint names.
    """
    parts = list(reachable(root))
    modules = {id(part.__globals__): part.__globals__ for part in parts if _is_own_function(part)}
    beside = [value for module in modules.values() for value in module.values()]
    classes = {part for part in (*parts, *beside) if isinstance(part, type) and _is_own_class(part)}
    return {part.__name__ for part in classes if _holds_data(part)}


def _holds_data(found: type) -> bool:
    runs = any(hasattr(found, name) for name in ("run", "_run", "invoke"))
    return not runs and (issubclass(found, BaseModel) or is_dataclass(found) or is_typeddict(found))


def _handed_on(code: types.CodeType, known: dict[str, Any]) -> set[str]:
    names = {name for name, value in _loaded(code, known) if isinstance(value, types.FunctionType)}
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            names |= _handed_on(inner, known)
            names |= {inner.co_name} if inner.co_name.isidentifier() else set()
    return names


def _loaded(code: types.CodeType, known: dict[str, Any]) -> Iterator[tuple[str, object]]:
    """Yield the globals that code loads without calling them, and what it loads so of modules, each
    with its name.
    """
    value: object = None
    called = False
    for instruction in dis.get_instructions(code):
        name = instruction.argval
        # What is called is loaded with a NULL beside it, or beside the module that it is of.
        if instruction.opname == "LOAD_GLOBAL":
            value, called = known.get(name), "NULL" in instruction.argrepr
        elif instruction.opname == "LOAD_ATTR" and isinstance(value, types.ModuleType):
            value, called = vars(value).get(name), called or "NULL" in instruction.argrepr
        else:
            value = None
        if value is not None and not called:
            yield name, value


def _is_own_function(part: object) -> TypeGuard[types.FunctionType]:
    return isinstance(part, types.FunctionType) and is_own_code(part.__code__.co_filename)


def _children(part: object) -> Iterable[object]:
    match part:
        case types.ModuleType():
            return ()
        case Mapping():
            return _copied(lambda: part.values())
        case list() | tuple() | set() | frozenset():
            return _copied(lambda: part)
        case types.MethodType():
            return (part.__self__, part.__func__)
        case functools.partial():
            return (part.func, *part.args, *part.keywords.values())
        case staticmethod() | classmethod():
            return (part.__func__,)
        case property():
            return (part.fget,)
        case types.FunctionType():
            return _of_function(part)
        case type():
            return _own_members(part)
    return _attributes(part)


def _of_function(function: types.FunctionType) -> list[object]:
    cells = [cell.cell_contents for cell in function.__closure__ or () if _is_filled(cell)]
    wrapped = [vars(function)["__wrapped__"]] if "__wrapped__" in vars(function) else []
    named = _named(function) if _is_own_function(function) else ()
    return [*cells, *(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values(), *wrapped, *named]


def _named(function: types.FunctionType) -> Iterator[object]:
    """Yield the globals that a function's code names, and what it names of modules."""
    for name in (names := set(_names(function.__code__))):
        value = function.__globals__.get(name)
        if isinstance(value, types.ModuleType):
            yield from (vars(value)[other] for other in names if other in vars(value))
        else:
            yield value


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def _own_members(found: type) -> Iterable[object]:
    return _copied(vars(found).values) if _is_own_class(found) else ()


def _is_own_class(found: type) -> bool:
    try:
        return is_own_code(inspect.getfile(found))
    except (TypeError, OSError):
        return False


def _attributes(part: object) -> list[object]:
    held = list(_copied(getattr(part, "__dict__", {}).values))
    # Pydantic's.
    held += _copied((getattr(part, "__pydantic_private__", None) or {}).values)
    for base in type(part).__mro__:
        slots = vars(base).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            member = vars(base).get(name)
            if isinstance(member, types.MemberDescriptorType):
                held += _copied(lambda member=member: [member.__get__(part)])  # type: ignore[misc]
    return [type(part), *held]


def _copied(values: Callable[[], Iterable[Any]]) -> list[Any]:
    """Return the values; none where they cannot be had."""
    try:
        return list(values())
    except Exception:  # noqa: BLE001 - a mapping or a slot of somebody else's code
        return []


def _is_filled(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018 - raises where it is empty
    except ValueError:
        return False
    return True
