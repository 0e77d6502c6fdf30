"""Ids for questions and tool calls that have none of the model's: the same whenever a turn is run again."""

import hashlib
import threading
from collections import Counter


class CallIds:
    """The ids of one attempt. Made from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: Counter[str] = Counter()

    def make(self, *told: str) -> str:
        """Return a new id.

        Args:
            told: the text that tells the call from others; equal ones are numbered as they come.
        """
        digest = hashlib.sha256("\n".join(told).encode()).hexdigest()[:24]
        with self._lock:
            self._made[digest] += 1
            count = self._made[digest]
        return f"call_{digest}" if count == 1 else f"call_{digest}-{count}"
