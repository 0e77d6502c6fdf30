"""Reads what a peer sends over HTTP up to a number of bytes, so that no peer can fill this process's memory."""

from collections.abc import AsyncIterator


class TooLargeError(Exception):
    """The peer sent more than it may. The message says how much that is."""


async def whole(blocks: AsyncIterator[bytes], limit: int) -> bytes:
    """Return all of it.

    Args:
        blocks: the blocks as they arrive.
        limit: the most bytes that there may be.

    Raises:
        TooLargeError: there are more.
    """
    read = bytearray()
    async for block in blocks:
        read += block
        _check(len(read), limit)
    return bytes(read)


async def lines(blocks: AsyncIterator[bytes], limit: int) -> AsyncIterator[bytes]:
    """Yield the lines of a body as they end, without their ends. They end with a line feed only: text in JSON may
    hold all else.

    Args:
        blocks: the blocks as they arrive.
        limit: the most bytes that there may be, in all lines together.

    Raises:
        TooLargeError: there are more, be it in a line without end.
    """
    rest, read = bytearray(), 0
    async for block in blocks:
        read += len(block)
        _check(read, limit)
        searched = len(rest)
        rest += block
        while (end := rest.find(b"\n", searched)) >= 0:
            yield bytes(rest[:end]).removesuffix(b"\r")
            del rest[: end + 1]
            searched = 0
    if rest:
        yield bytes(rest)


def _check(read: int, limit: int) -> None:
    if read > limit:
        raise TooLargeError(f"more than {limit} bytes")
