"""Keeps what a tool raised as text, and raises it again when the turn is run again: code around the tool catches
errors by their classes, and reads them.

Reading imports nothing and runs no code of a class: who can write to Redis must not choose what runs.
"""

import builtins
import contextlib
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import InitErrorDetails

from k8gentai.agents.code.loaded_classes import loaded_class
from k8gentai.agents.text.utf8 import Text, jsonable, message_of


class _KeptFault(BaseModel):
    """One of the errors of a :class:`pydantic.ValidationError`."""

    type: Text
    loc: tuple[int | Text, ...]
    input: Any
    ctx: dict[str, Any]
    error: Text | None = None
    """What a validator raised, as text."""


class _KeptError(BaseModel):
    """An error, as far as JSON has it."""

    kind: Text
    """Its class, ``module:qualified.name``."""
    builtin: Text
    """The class of Python's own that is nearest to that."""
    args: list[Any]
    state: dict[str, Any]
    message: Text
    cause: Text | None = None
    """The error that it was raised from, as text as well."""
    title: Text = ""
    """Of a :class:`pydantic.ValidationError`, which has no arguments: what was validated."""
    faults: list[_KeptFault] | None = None
    """The errors of one."""


def write_error(error: Exception) -> str | None:
    """Return an error as text; None where what is read back is not the same, as of one that holds a response."""
    if isinstance(error, ValidationError):
        return _write_validation(error)
    kind = type(error)
    # It has its file beside its arguments.
    file = (error.filename,) if isinstance(error, OSError) and error.filename is not None else ()
    text = _KeptError(
        kind=f"{kind.__module__}:{kind.__qualname__}",
        builtin=_own_base(kind).__name__,
        args=jsonable([*error.args, *file]),
        state=jsonable(vars(error)),
        message=message_of(error),
        cause=write_error(error.__cause__) if isinstance(error.__cause__, Exception) else None,
    ).model_dump_json()
    again = read_error(text)
    is_same = type(again) is kind and again.args == error.args and vars(again) == vars(error)
    return text if is_same else None


def read_error(text: str) -> Exception:
    """Return the error again: of its class where that is loaded, else of the nearest of Python's own that says the
    same.

    Args:
        text: the text that :func:`write_error` returned.

    Raises:
        ValueError: it is none of these texts.
    """
    kept = _KeptError.model_validate_json(text)
    if kept.faults is not None:
        return ValidationError.from_exception_data(kept.title, [_details(fault) for fault in kept.faults])
    for kind in _classes(kept):
        try:
            error: Exception = _own_base(kind).__new__(kind, *kept.args)
            # Of a class with a constructor of its own, OSError leaves that to it.
            error.args = error.args or tuple(kept.args)
            vars(error).update(kept.state)
        except (TypeError, ValueError):
            continue
        if message_of(error) == kept.message:
            error.__cause__ = read_error(kept.cause) if kept.cause else None
            return error
    return RuntimeError(kept.message)


def _write_validation(error: ValidationError) -> str | None:
    """Return pydantic's error as text: a tool has it of wrong arguments, and code around the tool catches it."""
    faults = []
    for each in error.errors(include_url=False):
        context = dict(each.get("ctx", {}))
        raised = context.pop("error", None)
        if isinstance(raised, Exception) and (raised := write_error(raised)) is None:
            return None
        faults.append(
            {"type": each["type"], "loc": each["loc"], "input": each["input"], "ctx": context, "error": raised}
        )
    kept = _KeptError(
        kind="",
        builtin="ValueError",
        args=[],
        state={},
        message=str(error),
        title=error.title,
        faults=jsonable(faults),
    )
    text = kept.model_dump_json()
    try:
        again = read_error(text)
    except (KeyError, TypeError, ValueError):
        # An error of a type of the validator's own.
        return None
    is_same = str(again) == str(error) and [fault["input"] for fault in faults] == jsonable(
        [fault["input"] for fault in faults]
    )
    return text if is_same else None


def _details(fault: _KeptFault) -> InitErrorDetails:
    context = {**fault.ctx, **({} if fault.error is None else {"error": read_error(fault.error)})}
    return {"type": fault.type, "loc": fault.loc, "input": fault.input, "ctx": context}


def _classes(kept: _KeptError) -> list[type[Exception]]:
    found: list[Any] = [getattr(builtins, kept.builtin, None)]
    with contextlib.suppress(LookupError):
        found.insert(0, loaded_class(kept.kind))
    return [kind for kind in found if isinstance(kind, type) and issubclass(kind, Exception)]


def _own_base(kind: type[BaseException]) -> type[BaseException]:
    """Return the class of Python's own from which a class of errors has the form of its objects."""
    return next(base for base in kind.__mro__ if base.__module__ == "builtins")
