"""Turns through the stack's HTTP API, as an SSE reader sees them.

The first event that counts is the first one the agent itself gave rise to, an output item: those before it
(``response.created``, ``response.in_progress``) come from us alone.
"""

import asyncio
import time

import httpx

from bench.turns import QUESTION, Figures, at_once


async def turn(client: httpx.AsyncClient, agent: str) -> float:
    """Run one streamed turn. Returns the seconds to the agent's first event.

    Raises:
        AssertionError: the turn did not end as completed.
    """
    began = time.perf_counter()
    first = None
    ended = b""
    body = {"model": agent, "input": QUESTION, "stream": True}
    async with client.stream("POST", "/v1/responses", json=body) as answer:
        async for data in answer.aiter_bytes():
            ended = (ended + data)[-8192:]
            if first is None and b"event: response.output_item.added" in ended:
                first = time.perf_counter() - began
    assert first is not None, ended[-500:]
    assert b"event: response.completed" in ended, ended[-500:]
    return first


def turns(url: str, agent: str, clients: int, each: int) -> Figures:
    """Run turns of an agent, so many at once. The same shape as the direct figures."""

    async def run() -> Figures:
        limits = httpx.Limits(max_connections=clients, max_keepalive_connections=clients)
        async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as client:
            return await at_once(lambda: turn(client, agent), clients, each)

    return asyncio.run(run())
