"""A proxy that makes faults: it stands between clients and a server, and passes on what they say until it is told
otherwise."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import hiredis

Dial = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
"""Opens a connection to the server."""
Route = Callable[[bytes], tuple[asyncio.StreamWriter, bytes]]
"""Takes what was read. Returns what is to be written, and to which side."""

REFUSALS = {
    "OOM": "OOM command not allowed when used memory > 'maxmemory'.",
    "READONLY": "READONLY You can't write against a read only replica.",
    "MISCONF": "MISCONF Valkey is configured to save RDB snapshots, but it's currently unable to persist to disk.",
    "NOREPLICAS": "NOREPLICAS Not enough good replicas to write.",
}
"""The refusals of writes that Redis has, by the error's code."""

_HARMLESS = frozenset(
    b"HELLO AUTH SELECT CLIENT PING INFO SUBSCRIBE UNSUBSCRIBE GET HGETALL HGET EXISTS XRANGE".split()
)
"""Commands that Redis carries out in that state too."""

_CHUNK = 65_536


class _Link:
    """One connection of a client, and its counterpart to the server."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.dead = False
        self._sides = (client, server)

    def reset(self) -> None:
        for side in self._sides:
            side.transport.abort()

    def close(self) -> None:
        for side in self._sides:
            side.close()


class Proxy:
    """Forwards connections to one server, and makes one fault at a time.

    Args:
        dial: opens a connection to the server.
    """

    def __init__(self, dial: Dial) -> None:
        self._dial = dial
        self._links: set[_Link] = set()
        self._refusing_connections = False
        self._delay = 0.0
        self._passing = asyncio.Event()
        self._passing.set()
        self.port = 0

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Pass nothing on; what was sent meanwhile arrives afterwards."""
        self._passing.clear()
        try:
            yield
        finally:
            self._passing.set()

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Let links die without a word: those there are stay open and bring nothing any more, also afterwards, and
        new ones get no answer until it is over."""
        for link in self._links:
            link.dead = True
        with self.holding():
            yield

    @contextmanager
    def resetting(self) -> Iterator[None]:
        """Reset all connections, and new ones too, as where the server has gone away."""
        self._refusing_connections = True
        for link in self._links:
            link.reset()
        try:
            yield
        finally:
            self._refusing_connections = False

    @contextmanager
    def slow(self, seconds: float) -> Iterator[None]:
        """Delay all that is said, each way.

        Args:
            seconds: by how much.
        """
        self._delay = seconds
        try:
            yield
        finally:
            self._delay = 0.0

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection of a client."""
        if self._refusing_connections:
            writer.transport.abort()
            return
        try:
            from_server, to_server = await self._dial()
        except OSError:
            writer.transport.abort()
            return
        link = _Link(writer, to_server)
        self._links.add(link)
        ways = [
            asyncio.ensure_future(self._copy(link, reader, self._route(to_server, writer))),
            asyncio.ensure_future(self._copy(link, from_server, lambda data: (writer, data))),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self._links.discard(link)
            link.close()

    def _route(self, server: asyncio.StreamWriter, client: asyncio.StreamWriter) -> Route:
        """Return where what one client says goes."""
        return lambda data: (server, data)

    async def _copy(self, link: _Link, reader: asyncio.StreamReader, route: Route) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(_CHUNK):
                await self._send(link, *route(data))

    async def _send(self, link: _Link, writer: asyncio.StreamWriter, data: bytes) -> None:
        if self._delay:
            await asyncio.sleep(self._delay)
        await self._passing.wait()
        if not link.dead:
            writer.write(data)
            await writer.drain()


class RedisProxy(Proxy):
    """One in front of Redis, which can answer in its stead."""

    def __init__(self, dial: Dial) -> None:
        super().__init__(dial)
        self._refusal: bytes | None = None

    @contextmanager
    def refusing(self, code: str) -> Iterator[None]:
        """Answer every write with an error, instead of the Redis behind.

        Args:
            code: one of :data:`REFUSALS`.
        """
        self._refusal = f"-{REFUSALS[code]}\r\n".encode()
        try:
            yield
        finally:
            self._refusal = None

    def _route(self, server: asyncio.StreamWriter, client: asyncio.StreamWriter) -> Route:
        commands = _Commands()

        def route(data: bytes) -> tuple[asyncio.StreamWriter, bytes]:
            whole, names = commands.feed(data)
            if self._refusal and not _HARMLESS.issuperset(names):
                return client, b"".join(_refused(name, self._refusal) for name in names)
            return server, whole

        return route


class _Commands:
    """Finds the commands in what a client says."""

    def __init__(self) -> None:
        self._reader = hiredis.Reader()
        self._pending = b""
        self._names: list[bytes] = []

    def feed(self, data: bytes) -> tuple[bytes, list[bytes]]:
        """Take what was read next.

        Returns:
            What has become whole commands, and their names; nothing while more of one is to come.
        """
        self._pending += data
        self._reader.feed(data)
        while (command := self._reader.gets()) is not False:
            self._names.append(_name(command))
        if self._reader.has_data():
            return b"", []
        whole, self._pending = self._pending, b""
        names, self._names = self._names, []
        return whole, names


def _refused(name: bytes, refusal: bytes) -> bytes:
    match name:
        case b"MULTI":
            return b"+OK\r\n"
        case b"EXEC":
            return b"-EXECABORT Transaction discarded because of previous errors.\r\n"
        case _:
            return refusal


def _name(command: Any) -> bytes:
    name: bytes = command[0]
    return name.upper()


@asynccontextmanager
async def serving(proxy: Proxy) -> Any:
    """Run a proxy on a free port of this machine."""
    server = await asyncio.start_server(proxy.connected, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        with proxy.resetting():
            await asyncio.sleep(0)
