"""Decides when a worker's process ends, and with which exit code."""

import asyncio
import threading
from collections.abc import Callable

from k8gentai.workers.isolation.process_exits import REPLACE

_REPLACED_SECONDS = 5.0
"""The seconds that turns may go on in a process that an agent's code blocks."""
_END_SECONDS = 10
"""The seconds that ending may take, once running turns had their grace."""


class LeasesError(Exception):
    """This process cannot keep its turns' leases, though Redis answers."""

    def __init__(self) -> None:
        super().__init__("leases cannot be kept: see the log above")


class Shutdown:
    """The end of one worker. To be made in its own loop.

    Args:
        grace_seconds: the seconds that running turns may go on then.
        end: ends the process at once, with an error. From any thread.
    """

    def __init__(self, grace_seconds: float, end: Callable[[BaseException], object]) -> None:
        self._end_at_once = end
        self._loop = asyncio.get_running_loop()
        self.grace_seconds = grace_seconds
        self.exit_code = 0
        self.leases_lost = False
        """Whether this process cannot keep its turns' leases."""
        self.wanted = asyncio.Event()

    def replace_blocked(self) -> None:
        """End soon and be started again: an agent's code blocks the process for good."""
        self.grace_seconds = min(self.grace_seconds, _REPLACED_SECONDS)
        self._end(REPLACE)

    def replace(self) -> None:
        """End once running turns had their grace, and be started again. From any thread."""
        self._loop.call_soon_threadsafe(self._end, REPLACE)

    def lose_leases(self) -> None:
        """End as one that cannot keep its leases. From any thread."""
        self.leases_lost = True
        self._loop.call_soon_threadsafe(self._end, 1)
        # Where the loop is held up, nobody else would end the process.
        ending = threading.Timer(self.grace_seconds + _END_SECONDS, self._end_at_once, (LeasesError(),))
        ending.daemon = True
        ending.start()

    def _end(self, code: int) -> None:
        # A process that lost its leases has failed, whatever else there was.
        self.exit_code = 1 if self.leases_lost else code
        self.wanted.set()
