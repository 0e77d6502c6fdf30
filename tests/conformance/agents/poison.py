"""Tools that do what their worker would not survive, or not well; they need no framework."""

import asyncio
import os
import sys
import time
from pathlib import Path


class UnprintableError(Exception):
    """An error that cannot be printed."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


def leave() -> str:
    """Leave."""
    sys.exit(8)


def interrupt() -> str:
    """Raise what Ctrl-C does."""
    raise KeyboardInterrupt("by hand")


def cancel() -> str:
    """Raise what a task that is cancelled does."""
    raise asyncio.CancelledError("by hand")


def close() -> str:
    """Raise what a generator that is closed does."""
    raise GeneratorExit("by hand")


async def leave_later() -> str:
    """Leave, on the event loop."""
    sys.exit(9)


def leave_hard() -> str:
    """Leave at once."""
    os._exit(7)


def outgrow() -> str:
    """Take more memory than there is."""
    return str(len(bytearray(10**15)))


def mumble() -> str:
    """Raise what cannot be printed."""
    raise UnprintableError


def halve() -> str:
    """Return what cannot be encoded."""
    return "half \ud800"


def halve_and_fail() -> str:
    """Raise what cannot be encoded."""
    raise ValueError("half \ud800")


async def hold(path: str) -> str:
    """Let nothing else run until a file is there."""
    while not Path(path).exists():  # noqa: ASYNC240 - it is to block, as does the next line
        time.sleep(0.02)  # noqa: ASYNC251
    return "held"


TOOLS = (leave, interrupt, cancel, close, leave_later, leave_hard, outgrow, mumble, halve, halve_and_fail, hold)


def leaving(context: object) -> None:
    """Make no agent."""
    sys.exit(6)
