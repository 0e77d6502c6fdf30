"""How every process of ours connects to Redis."""

from collections.abc import Iterator
from itertools import repeat
from urllib.parse import urlsplit, urlunsplit

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

BLOCK_SECONDS = 15
"""The longest a command waits inside Redis before it is asked again."""

CONNECT_SECONDS = 2
REPLY_SECONDS = BLOCK_SECONDS + 5

UNREACHABLE = (RedisConnectionError, RedisTimeoutError)
"""What the client raises when Redis is away."""


def pauses() -> Iterator[float]:
    """Seconds to wait between tries while Redis is away; without end."""
    yield from (0.05, 0.1, 0.25, 0.5)
    yield from repeat(1.0)


def connect(url: str) -> redis.asyncio.Redis:
    """An asyncio client; it connects on the first command, in the event loop that sends it.

    Args:
        url: ``redis://``, ``rediss://`` or ``unix://``.

    Raises:
        ValueError: the URL is none of these.
    """
    return redis.asyncio.Redis.from_url(
        url,
        socket_connect_timeout=CONNECT_SECONDS,
        socket_timeout=REPLY_SECONDS,
        retry=AsyncRetry(ExponentialBackoff(cap=0.2, base=0.05), 2),
    )


def connect_blocking(url: str) -> redis.Redis:
    """The same for threads and for RQ's own code."""
    return redis.Redis.from_url(
        url,
        socket_connect_timeout=CONNECT_SECONDS,
        socket_timeout=REPLY_SECONDS,
        retry=Retry(ExponentialBackoff(cap=0.2, base=0.05), 2),
    )


def masked(url: str) -> str:
    """The URL as a log or an error may show it: without its password."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username or ''}:***@{host}"))
