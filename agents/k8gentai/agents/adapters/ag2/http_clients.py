"""The HTTP client that all turns share: AG2 would make one for each, which costs more than the rest of a turn."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

from openai import DefaultAsyncHttpxClient

_answers: ContextVar[list[Any]] = ContextVar("answers")
"""The HTTP answers of the model call at hand."""


class _Client(DefaultAsyncHttpxClient):
    """Notes the answers that a model call opens."""

    async def send(self, request: Any, **options: Any) -> Any:
        """Send a request."""
        answer = await super().send(request, **options)
        _answers.get([]).append(answer)
        return answer


_clients: dict[asyncio.AbstractEventLoop, _Client] = {}


def shared_client() -> _Client:
    """Return the client of the running event loop."""
    loop = asyncio.get_running_loop()
    for closed in [known for known in _clients if known.is_closed()]:
        del _clients[closed]
    if loop not in _clients:
        _clients[loop] = _Client()
    return _clients[loop]


@asynccontextmanager
async def closed_at_the_end() -> AsyncIterator[None]:
    """Close the answers of a model call: AG2 leaves open one that it reads when it is cancelled."""
    opened: list[Any] = []
    token = _answers.set(opened)
    try:
        yield
    finally:
        _answers.reset(token)
        for answer in opened:
            await answer.aclose()
