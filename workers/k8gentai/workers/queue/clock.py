"""The one clock of a stack: that of Redis."""

import time


class Clock:
    """Tells Redis' time without asking it again. What one machine writes and another reads goes by it.

    Args:
        at: Redis' time now, Unix time in seconds.
    """

    def __init__(self, at: float) -> None:
        self._ahead = at - time.monotonic()

    def now(self) -> float:
        """Redis' time, Unix time in seconds."""
        return time.monotonic() + self._ahead
