"""Notices code that holds up the worker's event loop, and with it every other turn of the process."""

import asyncio
import sys
import threading
import traceback

import structlog

from k8gentai.agents.loading import is_own_code

BLOCKED_SECONDS = 1.0
"""How long the loop may be held up before that is told."""

log = structlog.get_logger(__name__)


class Watchdog:
    """Looks at an event loop from a thread of its own, and logs the place where it is held up; each place once.

    To be made in the loop's thread.

    Args:
        seconds: how long is too long.
    """

    def __init__(self, seconds: float = BLOCKED_SECONDS) -> None:
        self._loop = asyncio.get_running_loop()
        self._watched = threading.get_ident()
        self._seconds = seconds
        self._told: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Stop. The loop must still run."""
        self._stop.set()
        self._thread.join(timeout=self._seconds)

    def _watch(self) -> None:
        while not self._stop.wait(self._seconds / 2):
            answered = threading.Event()
            self._loop.call_soon_threadsafe(answered.set)
            while not answered.wait(self._seconds) and not self._stop.is_set():
                self._tell()

    def _tell(self) -> None:
        stack = traceback.extract_stack(sys._current_frames()[self._watched])
        if stack[-1].filename.endswith("selectors.py"):
            # It waits for something to do: the machine is slow, not the code.
            return
        # The innermost line that somebody here wrote; a library below it may be what takes its time.
        frame = next((frame for frame in reversed(stack) if is_own_code(frame.filename)), stack[-1])
        place = f"{frame.filename}:{frame.lineno}"
        if place not in self._told:
            self._told.add(place)
            log.warning(
                "event_loop_blocked",
                place=place,
                function=frame.name,
                line=frame.line,
                seconds=self._seconds,
                advice="await it, or call it with asyncio.to_thread",
            )
