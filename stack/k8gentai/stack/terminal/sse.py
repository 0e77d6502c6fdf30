"""Reads the stack's server-sent events."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
from httpx_sse import EventSource


async def events(answer: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    """Yield the JSON of each event, but for the ``[DONE]`` at the end."""
    async for event in EventSource(answer).aiter_sse():
        if event.data and event.data != "[DONE]":
            yield json.loads(event.data)
