"""HTTP requests that stay open by the thousand, each on a connection of its own.

httpx looks through all connections of its pool for each request, which takes minutes where thousands are open.
"""

import asyncio
import json
from dataclasses import dataclass
from typing import Any


@dataclass
class Sent:
    """A request that was sent."""

    _reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter

    async def head(self) -> bytes:
        """The answer's status line and headers."""
        return await self._reader.readuntil(b"\r\n\r\n")

    async def rest(self) -> bytes:
        """What is left of the answer, to its end."""
        read = await self._reader.read()
        self._writer.close()
        await self._writer.wait_closed()
        return read


async def send(port: int, method: str, path: str, body: Any = None) -> Sent:
    """Send a request to this machine."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    content = b"" if body is None else json.dumps(body).encode()
    headers = [
        f"Host: 127.0.0.1:{port}",
        "Connection: close",
        "Content-Type: application/json",
        f"Content-Length: {len(content)}",
    ]
    writer.write("\r\n".join([f"{method} {path} HTTP/1.1", *headers, "", ""]).encode() + content)
    await writer.drain()
    return Sent(reader, writer)
