"""Makes what agents' code hands over fit for JSON in UTF-8, the form in which events and journals are kept.

Agents raise, return and publish whatever Python takes: halves of surrogate pairs, errors that cannot be printed,
objects of their own. Here is the one place where that ends, so that nothing behind an event can fail by it.
"""

import math
from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator

_DEEPEST = 200
"""The number of values inside each other that are kept: parsers have a limit as well, and a list may hold
itself."""


def encodable(text: str) -> str:
    """Make a text encodable in UTF-8.

    Returns:
        The text, with halves of surrogate pairs joined where they belong together, else replaced by U+FFFD.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def jsonable(value: object) -> Any:
    """Make a value of JSON of any value.

    Returns:
        Mappings as objects, other collections as arrays, numbers that are none (NaN, infinity) as null, and what
        JSON has no word for as its text.
    """
    return _jsonable(value, _DEEPEST)


def message_of(error: BaseException) -> str:
    """Return the message of an error, encodable; what stands in for it where the error cannot be printed."""
    try:
        return encodable(str(error))
    except BaseException as failed:  # noqa: BLE001 - whatever its own code raises, the turn ends with an error
        return f"(its message cannot be printed: {type(failed).__name__})"


def _jsonable(value: object, deep: int) -> Any:
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if deep == 0:
        return "…"
    if isinstance(value, BaseModel):
        value = value.model_dump()
    if isinstance(value, Mapping):
        return {_printed(key): _jsonable(item, deep - 1) for key, item in value.items()}
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, AbstractSet):
        # In an order of their own, which is another in each process.
        return sorted((_jsonable(item, deep - 1) for item in value), key=str)
    if isinstance(value, Collection):
        return [_jsonable(item, deep - 1) for item in value]
    return _printed(value)


def _printed(value: object) -> str:
    name = f"<{type(value).__name__}>"
    try:
        text = encodable(str(value))
    except Exception:  # noqa: BLE001 - an object of the agent's own
        return name
    # An address is another one in each process.
    return name if " at 0x" in text else text


Text = Annotated[str, AfterValidator(encodable)]
"""A text of an event or of the journal."""
JsonObject = Annotated[dict[str, Any], BeforeValidator(jsonable)]
"""An object of an event or of the journal that has no type of its own."""
