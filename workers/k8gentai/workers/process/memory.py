"""Measures the worker's process, and compares it with how large it may grow."""

from collections.abc import Callable

import psutil
import structlog

_MB = 2**20

log = structlog.get_logger(__name__)


class MemoryLimitError(Exception):
    """The process is larger than it may grow, before it has run a turn."""


class Memory:
    """Looks whether this process has grown too large.

    Args:
        most: MB of memory it may have; None for as much as it likes.
        on_grown: called once, when it has more.
    """

    def __init__(self, most: int | None, on_grown: Callable[[], None]) -> None:
        self._most = most
        self._on_grown = on_grown
        self._process = psutil.Process()

    def check(self) -> None:
        """See that the process may begin: it would be replaced again and again.

        Raises:
            MemoryLimitError: it is too large as it is.
        """
        if self._most is not None and (size := self._size()) > self._most:
            raise MemoryLimitError(
                f"--max-memory is {self._most} MB, and the worker takes {size:.0f} MB with its agents imported: "
                f"allow it more, such as {2 * size:.0f}"
            )

    def look(self) -> None:
        """Look. To be called now and then."""
        if self._most is not None and (size := self._size()) > self._most:
            log.warning("memory_grown", megabytes=round(size), most=self._most)
            self._most = None
            self._on_grown()

    def _size(self) -> float:
        return float(self._process.memory_info().rss / _MB)
