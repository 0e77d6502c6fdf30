"""Words the expectations of checks. A check that fails is read by somebody who does not have its code at hand, so
each expectation says in words what it is about."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any


class CheckFailedError(AssertionError):
    """The adapter does not do what it should; the message says what was expected and what was seen."""


def equal(what: str, found: object, wanted: object) -> None:
    """Expect both to be the same.

    Raises:
        CheckFailedError
    """
    if found != wanted:
        raise CheckFailedError(f"{what}: expected {wanted!r}, got {found!r}")


def holds(what: str, truth: object, seen: object = "") -> None:
    """Expect something to be so.

    Args:
        what: the thing that is expected, in words.
        truth: whether it is.
        seen: the value that there is.

    Raises:
        CheckFailedError
    """
    if not truth:
        raise CheckFailedError(f"not so: {what}" + (f"; got {seen!r}" if seen != "" else ""))


def contains(what: str, text: object, part: str) -> None:
    """Expect a text to have a part.

    Raises:
        CheckFailedError
    """
    if part not in str(text or ""):
        raise CheckFailedError(f"{what}: expected {part!r} in it, got {text!r}")


def one(what: str, found: Sequence[Any]) -> Any:
    """Return the only element.

    Raises:
        CheckFailedError
    """
    if len(found) != 1:
        raise CheckFailedError(f"{what}: expected one, got {len(found)}: {found!r}")
    return found[0]


async def eventually[T](
    what: str, look: Callable[[], Awaitable[T]], wanted: Callable[[T], object], seconds: float = 120
) -> T:
    """Look until what is seen is what is wanted, and return it.

    Raises:
        CheckFailedError: it was not, in that time.
    """
    until = time.monotonic() + seconds
    while True:
        seen = await look()
        if wanted(seen):
            return seen
        if time.monotonic() > until:
            raise CheckFailedError(f"{what}: not so after {seconds:g} s; last seen: {seen!r}")
        await asyncio.sleep(0.05)
