"""The faults that a drill makes, by the names its user gives them."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, AsyncExitStack
from itertools import cycle
from typing import Self
from urllib.parse import quote, urlsplit

from k8gentai.stack.drill.proxy import REFUSALS, Proxy, RedisProxy, serving
from k8gentai.workers.queue.redis_url import read_url

Strike = Callable[[], Awaitable[str | None]]
"""Strikes something. Returns what was done, for the report; None where there was nothing to strike."""

PROCESSES = ("kill", "stop")
"""Faults of the drill's workers themselves."""
PROXIED = ("redis-errors", "link", "server")
"""Faults of what stands between them and the stack: nobody else's connections are touched."""
FAULTS = (*PROCESSES, *PROXIED)

_SLOW_SECONDS = 0.2
_DOWN_SECONDS = 2.0
_LINK_LEASES = 1.5
"""The time for which a link is dead, in leases."""


class Proxies:
    """The proxies that a drill's own workers and clients go through.

    Args:
        redis_url: of the stack.
        stack_url: the address of the stack's server.
        lease_seconds: of the drill's workers.
    """

    def __init__(self, redis_url: str, stack_url: str, lease_seconds: float) -> None:
        self.may_lose: Callable[[], Awaitable[bool]] | None = None
        """Asked before leases are lost."""
        self._redis_url = redis_url
        self._stack_url = urlsplit(stack_url)
        self._lease_seconds = lease_seconds
        self._redis = RedisProxy(self._dial_redis)
        self._server = Proxy(self._dial_server)
        self._refusals = cycle(REFUSALS)
        self._links = cycle(("held", "dead", "slow"))
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._open.enter_async_context(serving(self._redis))
        await self._open.enter_async_context(serving(self._server))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    @property
    def redis_url(self) -> str:
        """The Redis, as its clients are to see it."""
        options = read_url(self._redis_url).options
        user, password = (quote(options.get(name, ""), safe="") for name in ("username", "password"))
        credentials = f"{user}:{password}@" if password else ""
        return f"redis://{credentials}127.0.0.1:{self._redis.port}/{options.get('db', 0)}"

    @property
    def stack_url(self) -> str:
        """The server, as its clients are to see it."""
        return f"http://127.0.0.1:{self._server.port}"

    def strikes(self) -> Mapping[str, Strike]:
        """Return what each fault does."""
        return {"redis-errors": self._refuse, "link": self._cut, "server": self._restart}

    async def _refuse(self) -> str:
        code = next(self._refusals)
        with self._redis.refusing(code):
            await asyncio.sleep(_DOWN_SECONDS)
        return f"Redis answered {code}"

    async def _cut(self) -> str | None:
        how = next(self._links)
        if how == "dead" and self.may_lose is not None and not await self.may_lose():
            return None
        faults: dict[str, AbstractContextManager[None]] = {
            "held": self._redis.holding(),
            "dead": self._redis.silent(),
            "slow": self._redis.slow(_SLOW_SECONDS),
        }
        with faults[how]:
            await asyncio.sleep(_LINK_LEASES * self._lease_seconds if how == "dead" else _DOWN_SECONDS)
        return f"link to Redis {how}"

    async def _restart(self) -> str:
        with self._server.resetting():
            await asyncio.sleep(_DOWN_SECONDS)
        return "server gone"

    async def _dial_redis(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        options = read_url(self._redis_url).options
        if path := options.get("path"):
            return await asyncio.open_unix_connection(path)
        return await asyncio.open_connection(options.get("host", "localhost"), options.get("port", 6379))

    async def _dial_server(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self._stack_url.hostname, self._stack_url.port or 80)
