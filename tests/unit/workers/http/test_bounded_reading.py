"""Reading what a peer sends, up to a number of bytes (k8gentai.workers.http.bounded_reading)."""

from collections.abc import AsyncIterator

import pytest

from k8gentai.workers.http.bounded_reading import TooLargeError, lines, whole


async def blocks(*sent: bytes) -> AsyncIterator[bytes]:
    for block in sent:
        yield block


async def endless() -> AsyncIterator[bytes]:
    """A line that never ends. Who reads it all is never done."""
    while True:
        yield b"x" * 1_000


async def test_lines_whose_ends_come_anywhere() -> None:
    sent = blocks(b"on", b"e\ntwo", b"\r\n", b"\nthree\xe2\x80\xa8 \nfour")
    found = [line async for line in lines(sent, 100)]
    assert found == [b"one", b"two", b"", "three\u2028 ".encode(), b"four"]


async def test_a_line_without_end() -> None:
    with pytest.raises(TooLargeError, match="5000 bytes"):
        await anext(lines(endless(), 5_000))


async def test_more_lines_than_there_may_be() -> None:
    read = lines(blocks(b"one\n", b"two\n", b"three\n"), 9)
    assert [await anext(read), await anext(read)] == [b"one", b"two"]
    with pytest.raises(TooLargeError):
        await anext(read)


async def test_the_whole() -> None:
    assert await whole(blocks(b"one", b"two"), 6) == b"onetwo"
    with pytest.raises(TooLargeError):
        await whole(endless(), 5_000)
