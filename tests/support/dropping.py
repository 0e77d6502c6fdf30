"""A proxy that loses answers: what is between a client and a server on a bad day."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Dropping:
    """Forwards connections to a server, and drops the first ones as soon as the server answers.

    Args:
        port: the server's, on this machine.
        drop: how many connections to drop.
    """

    def __init__(self, port: int, drop: int) -> None:
        self._port = port
        self._drop = drop
        self.dropped = 0
        self.url = ""

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection of a client."""
        upstream, to_upstream = await asyncio.open_connection("127.0.0.1", self._port)
        sending = asyncio.create_task(_copy(reader, to_upstream))
        # The client's side ends either way; the server's is not to outlive it.
        sending.add_done_callback(lambda _: to_upstream.close())
        try:
            if self.dropped < self._drop:
                await upstream.read(1)
                self.dropped += 1
            else:
                await _copy(upstream, writer)
        finally:
            sending.cancel()
            writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()


@asynccontextmanager
async def dropping(port: int, drop: int = 1) -> AsyncIterator[Dropping]:
    """Run one on a free port. Its clients must be closed before it is."""
    proxy = Dropping(port, drop)
    server = await asyncio.start_server(proxy.connected, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        await server.wait_closed()
