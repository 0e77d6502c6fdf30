"""Notices code that holds up the event loop of agents, and with it every other turn of the process."""

import asyncio
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from k8gentai.agents.code.loading import is_own_code
from k8gentai.workers.isolation.current_attempt import RunningAttempt, current_attempt

BLOCKED_SECONDS = 1.0
"""The seconds that the loop may be held up before that is reported."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Blocked:
    """Code that holds up the loop."""

    place: str
    """File and line."""
    attempt: RunningAttempt | None
    """The attempt whose code it is; None where that is not known."""
    since: float
    """Monotonic time in seconds."""

    @property
    def seconds(self) -> float:
        """The seconds that it has held up the loop."""
        return time.monotonic() - self.since


class Watchdog:
    """Looks at an event loop from a thread of its own, and logs the place where it is held up; each place once.

    To be made in the loop's thread.

    Args:
        seconds: the seconds that are too long.
        on_blocked: called in the watchdog's thread, again and again while the loop is held up, and with None when
            it is no more.
        alive: called in the watchdog's thread, more often than once in ``seconds``.
    """

    def __init__(
        self,
        seconds: float = BLOCKED_SECONDS,
        on_blocked: Callable[[Blocked | None], None] = lambda _: None,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._watched = threading.get_ident()
        self._seconds = seconds
        self._on_blocked = on_blocked
        self._alive = alive
        self._told: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self.blocked: Blocked | None = None
        """The code that holds up the loop now. Read from any thread."""

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Stop."""
        self._stop.set()
        self._thread.join(timeout=self._seconds)

    def _watch(self) -> None:
        while not self._stop.wait(self._seconds / 2):
            self._alive()
            answered = threading.Event()
            since = time.monotonic()
            self._loop.call_soon_threadsafe(answered.set)
            while not answered.wait(self._seconds) and not self._stop.is_set():
                self._alive()
                self._look(since)
            if self.blocked is not None:
                self.blocked = None
                self._on_blocked(None)

    def _look(self, since: float) -> None:
        frames = sys._current_frames().get(self._watched)
        stack = traceback.extract_stack(frames)
        if not stack or _waits(stack):
            # It waits for something to do: the machine is slow, not the code.
            return
        frame = own_line(stack)
        self.blocked = Blocked(f"{frame.filename}:{frame.lineno}", self._attempt(), since)
        self._tell(self.blocked.place, frame)
        self._on_blocked(self.blocked)

    def _attempt(self) -> RunningAttempt | None:
        """Return the attempt that the loop's current task works for."""
        task = asyncio.current_task(self._loop)
        return task.get_context().get(current_attempt) if task else None

    def _tell(self, place: str, frame: traceback.FrameSummary) -> None:
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


def own_line(stack: Sequence[traceback.FrameSummary]) -> traceback.FrameSummary:
    """Return the innermost line of a stack that somebody here wrote, or simply the innermost: a library below it
    may be what takes its time."""
    return next((frame for frame in reversed(stack) if is_own_code(frame.filename)), stack[-1])


def _waits(stack: Sequence[traceback.FrameSummary]) -> bool:
    """Return whether the loop itself is what waits at the end of a stack: subprocess, too, waits with a
    selector.
    """
    caller, frame = stack[-2].name, str(stack[-1].filename)
    return frame.endswith("selectors.py") and caller == "_run_once"
