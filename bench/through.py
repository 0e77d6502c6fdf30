"""Turns through the stack's HTTP API, as an SSE reader sees them.

The first event that counts is the first one the agent itself gave rise to, an output item: those before it
(``response.created``, ``response.in_progress``) come from us alone.
"""

import asyncio
import time

import httpx

from bench.direct import QUESTION


async def turn(client: httpx.AsyncClient) -> float:
    """Run one streamed turn. Returns the seconds to the agent's first event.

    Raises:
        AssertionError: the turn did not end as completed.
    """
    began = time.perf_counter()
    first = None
    ended = b""
    body = {"model": "bench", "input": QUESTION, "stream": True}
    async with client.stream("POST", "/v1/responses", json=body) as answer:
        async for data in answer.aiter_bytes():
            ended = (ended + data)[-8192:]
            if first is None and b"event: response.output_item.added" in ended:
                first = time.perf_counter() - began
    assert first is not None
    assert b"event: response.completed" in ended, ended[-500:]
    return first


async def turns(url: str, clients: int, each: int) -> dict[str, object]:
    """Run turns, so many at once. The same shape as the direct figures."""
    limits = httpx.Limits(max_connections=clients, max_keepalive_connections=clients)
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as client:

        async def one() -> list[float]:
            return [await turn(client) for _ in range(each)]

        began = time.perf_counter()
        firsts = await asyncio.gather(*(one() for _ in range(clients)))
    return {"first": [first for some in firsts for first in some], "seconds": time.perf_counter() - began}
