"""Clients of a real Valkey, for tests of what talks to it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

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


async def check_heard_again(client: Redis, channel: str, heard: asyncio.Queue[Any]) -> None:
    """See that a listener whose link was lost hears what is published now.

    Args:
        client: publishes it.
        channel: where.
        heard: what the listener hears; None as often as it subscribed, or its link ended.
    """
    while await heard.get() is not None or not (await client.pubsub_numsub(channel))[0][1]:
        pass
    await client.publish(channel, "after")
    while (data := await heard.get()) is None:
        pass
    assert data == b"after"
