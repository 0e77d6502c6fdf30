"""Tells when the server is to stop.

uvicorn waits for every open request before it tells the application anything, and a plain request may wait
for its turn for minutes. (Streams are ended by sse-starlette, which looks in the same place.)
"""

import asyncio
import signal
from collections.abc import Callable

_LOOK_SECONDS = 0.5


async def when_stopping(tell: Callable[[], None]) -> None:
    """Call ``tell`` soon after uvicorn was asked to stop."""
    while not _asked_to_stop():  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(_LOOK_SECONDS)
    tell()


def _asked_to_stop() -> bool:
    # The handler of a server that runs is its own method.
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return bool(getattr(server, "should_exit", False))
