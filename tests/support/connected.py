"""Clients of a real Valkey, for tests of what talks to it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis

from k8gentai.workers.queue.connection import connect


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Redis]:
    """Connect as every process of ours does, and close the connections at the end."""
    client = connect(url)
    try:
        yield client
    finally:
        await client.aclose()
