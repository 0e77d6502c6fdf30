"""A tool that fails after it has done what it is for."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any


class UnsentError(RuntimeError):
    """Nothing was sent, as far as is known. It has more to it than its words."""

    def __init__(self, why: str) -> None:
        super().__init__("unsent")
        self.why = why


def fail_first(path: str, line: str) -> None:
    """Fail where the line says so, until it stands in the file twice.

    Raises:
        UnsentError
    """
    if line == "failing" and len(Path(path).read_text().splitlines()) < 2:
        raise UnsentError("out of paper")


def fail_each(path: str, line: str) -> None:
    """Fail where the line says so, until it stands in the file three times.

    Raises:
        UnsentError
    """
    if line == "failing twice" and len(Path(path).read_text().splitlines()) < 3:
        raise UnsentError("out of ink")


def take_time(line: str) -> None:
    """Be at work for longer than a turn waits before it is suspended, where the line says so."""
    if line == "slow":
        time.sleep(0.5)


async def twice_at_once(run: Callable[[], Awaitable[Any]]) -> list[Any]:
    """Run a tool twice at the same time; return what it came to."""
    return list(await asyncio.gather(run(), run(), return_exceptions=True))


async def until_begun(path: str) -> None:
    """Wait until a tool has written to its file."""
    await asyncio.to_thread(_wait_for, Path(path))


def _wait_for(file: Path) -> None:
    while not file.exists():
        time.sleep(0.01)
