"""Connects every process of ours to Redis, and waits while Redis, or another store, is away."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import repeat
from math import inf
from typing import Any

import redis
import redis.asyncio
import structlog
from redis.asyncio.retry import Retry as AsyncRetry
from redis.asyncio.sentinel import MasterNotFoundError as AsyncMasterNotFoundError
from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.backoff import ExponentialBackoff
from redis.exceptions import (
    AskError,
    ClusterDownError,
    InvalidResponse,
    MovedError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry
from redis.sentinel import MasterNotFoundError, Sentinel, SentinelConnectionPool

from k8gentai.workers.queue.cluster import Cluster
from k8gentai.workers.queue.links import (
    BLOCKING_LINKS,
    LINKS,
    BlockingParser,
    LinkPool,
    NoConnectionFreeError,
    Parser,
    SentinelLinkPool,
    StoreRefusesError,
)
from k8gentai.workers.queue.redis_url import BLOCK_SECONDS, RedisUrl, masked, read_url

__all__ = [
    "AWAY",
    "BLOCK_SECONDS",
    "NoConnectionFreeError",
    "connect",
    "connect_blocking",
    "masked",
    "sent_once",
    "until_back",
]

CONNECT_SECONDS = 5
REPLY_SECONDS = BLOCK_SECONDS + 2
"""After this long without an answer a link counts as dead. It is less than any TCP keepalive notices."""

FREE_SECONDS = 20
"""The seconds that a command waits for one of its process's connections to become free."""

CONNECTIONS = 64
"""The most connections that one process has. Waiting for events needs none:
`k8gentai.workers.queue.notifications`."""

AWAY = (
    RedisConnectionError,
    RedisTimeoutError,
    OutOfMemoryError,
    ReadOnlyError,
    NoScriptError,
    NoPermissionError,
    ClusterDownError,
    TryAgainError,
    AskError,
    InvalidResponse,
    StoreRefusesError,
)
"""The errors that are raised while Redis is away, or does not do its work. That passes, or an operator makes it
pass, so a command that met one is sent again.

``LOADING``, ``NOAUTH``, ``max number of clients`` are connection errors, ``MASTERDOWN`` is a ``ClusterDownError``,
``MOVED`` an ``AskError``; an ``InvalidResponse`` is no answer of Redis at all.
Every other error of Redis (``WRONGTYPE``, wrong arguments, a fault in a script) is a fault of ours, and is raised.
"""

_SENT_AGAIN = (RedisConnectionError, MovedError)
"""The errors after which a command is sent again at once, by a new link."""

Errors = tuple[type[Exception], ...]

log = structlog.get_logger(__name__)


def pauses() -> Iterator[float]:
    """Yield the seconds to wait between tries while Redis is away; without end."""
    yield from (0.05, 0.1, 0.25, 0.5)
    yield from repeat(1.0)


async def until_back[T](
    ask: Callable[[], Awaitable[T]], *, patience: float = inf, away: Errors = AWAY, **context: object
) -> T:
    """Ask Redis, or another store, and ask again for as long as it is away. Logs each try.

    Args:
        ask: sends the command; it may be sent again after it was carried out, where the answer was lost.
        patience: seconds after which it is not asked again.
        away: what is raised while it is.
        context: fields of the log's events.

    Raises:
        One of ``away``: it is away for longer than that.
    """
    began = time.monotonic()
    for pause in pauses():
        try:
            return await ask()
        except away as error:
            if time.monotonic() - began > patience:
                raise
            event = "redis_away" if isinstance(error, AWAY) else "store_away"
            log.warning(event, error=str(error), retry_in=pause, **context)
            await asyncio.sleep(pause)
    raise AssertionError("pauses() has no end")


_sent_once: ContextVar[bool] = ContextVar("sent_once", default=False)


@contextmanager
def sent_once() -> Iterator[None]:
    """Send what is asked in this context once: where the link is lost before the answer, that is raised. For
    commands whose answer cannot be had by sending them again."""
    token = _sent_once.set(True)
    try:
        yield
    finally:
        _sent_once.reset(token)


class _AsyncRetry(AsyncRetry):
    """Sends a command again where the link is lost before its answer, unless it is `sent_once`."""

    async def call_with_retry(self, do: Any, fail: Any, *args: Any, **options: Any) -> Any:
        if _sent_once.get():
            once = AsyncRetry(self._backoff, 0, self._supported_errors)
            return await once.call_with_retry(do, fail, *args, **options)
        return await super().call_with_retry(do, fail, *args, **options)


class _AsyncSentinels(AsyncSentinel):
    """Names the Sentinels by their addresses where they know no primary."""

    async def discover_master(self, service_name: str) -> Any:
        try:
            return await super().discover_master(service_name)
        except AsyncMasterNotFoundError as error:
            raise AsyncMasterNotFoundError(_by_address(error, self.sentinels)) from None


class _Sentinels(Sentinel):
    """The same for threads."""

    def discover_master(self, service_name: str) -> Any:
        try:
            return super().discover_master(service_name)  # type: ignore[no-untyped-call]
        except MasterNotFoundError as error:
            raise MasterNotFoundError(_by_address(error, self.sentinels)) from None


def _by_address(error: Exception, sentinels: Iterable[Any]) -> str:
    """Return the message of an error that has whole clients in it."""
    message = str(error)
    for sentinel in sentinels:
        options = sentinel.connection_pool.connection_kwargs
        message = message.replace(str(sentinel), f"{options['host']}:{options['port']}")
    return message


def connect(url: str) -> redis.asyncio.Redis:
    """Return an asyncio client; it connects on the first command, in the event loop that sends it.

    Args:
        url: see `read_url`.

    Raises:
        ValueError: the URL cannot be read.
    """
    read = read_url(url)
    # A command whose answer did not come in time is not sent again here: its sender has its own patience.
    retry = _AsyncRetry(ExponentialBackoff(cap=0.2, base=0.05), 2, _SENT_AGAIN)
    options: dict[str, Any] = {
        "connection_class": LINKS[read.scheme],
        "parser_class": Parser,
        "max_connections": CONNECTIONS,
        "timeout": FREE_SECONDS,
        **_options(read, retry),
    }
    if not read.sentinels:
        return redis.asyncio.Redis.from_pool(LinkPool(**options))
    sentinels: Any = _AsyncSentinels
    manager = sentinels(read.sentinels, sentinel_kwargs=_sentinel_options(read, retry))
    pool = SentinelLinkPool(service_name=read.service, sentinel_manager=manager, **options)
    return redis.asyncio.Redis.from_pool(pool)


def connect_blocking(url: str) -> redis.Redis:
    """Return the same for threads and for RQ's own code."""
    read = read_url(url)
    retry = Retry(ExponentialBackoff(cap=0.2, base=0.05), 2, _SENT_AGAIN)
    options: dict[str, Any] = {
        "connection_class": BLOCKING_LINKS[read.scheme],
        "parser_class": BlockingParser,
        **_options(read, retry),
    }
    # Its pool does not wait for a connection to become free.
    options.pop("timeout", None)
    if not read.sentinels:
        return redis.Redis.from_pool(redis.ConnectionPool(**options))
    sentinels: Any = _Sentinels
    manager = sentinels(read.sentinels, sentinel_kwargs=_sentinel_options(read, retry))
    pool: Any = SentinelConnectionPool
    return redis.Redis.from_pool(pool(read.service, manager, **options))


def _options(read: RedisUrl, retry: object) -> dict[str, Any]:
    cluster = {"cluster": Cluster(read.nodes)} if read.nodes else {}
    return {**_timing(retry), **cluster, **read.options}


def _sentinel_options(read: RedisUrl, retry: object) -> dict[str, Any]:
    return {**_timing(retry), **(read.sentinel_options or {}), "ssl": read.scheme.startswith("rediss")}


def _timing(retry: object) -> dict[str, Any]:
    return {
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_timeout": REPLY_SECONDS,
        "retry": retry,
        # It would look up its own version in a file for each connection.
        "driver_info": None,
    }
