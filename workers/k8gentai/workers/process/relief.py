"""Takes turns away from a process that cannot run them: code of one of them lets nothing else run."""

import asyncio
from collections.abc import Callable

import structlog

from k8gentai.workers.isolation.watchdog import Blocked
from k8gentai.workers.process.running_turns import Pool

CLOSED_SECONDS = 3.0
"""The seconds that the agents' loop may be held up before the worker takes no more turns."""
HAND_OVER_SECONDS = 15.0
"""The seconds that it may be held up before other turns are given to other workers."""
_REASON = "blocked"

log = structlog.get_logger(__name__)


class Relief:
    """Watches what the watchdog says. To be used in the worker's own loop.

    Args:
        pool: the turns.
        replace: has the process replaced.
    """

    def __init__(self, pool: Pool, replace: Callable[[], None]) -> None:
        self._pool = pool
        self._replace = replace
        self._handing_over: asyncio.Task[None] | None = None

    def take(self, blocked: Blocked | None) -> None:
        """Take what holds up the agents' loop now; None where nothing does."""
        if blocked is None:
            self._pool.door.open(_REASON)
            return
        if blocked.seconds > CLOSED_SECONDS:
            self._pool.door.close(_REASON)
        if blocked.seconds > HAND_OVER_SECONDS:
            culprit = blocked.attempt
            if culprit is None or culprit.over:
                # The turn is over, by its limit or as it was cancelled, and its code goes on all the same.
                log.error("process_is_replaced", place=blocked.place, blocked_seconds=round(blocked.seconds))
                self._replace()
            else:
                self._hand_over_others(culprit.turn_id)

    def _hand_over_others(self, turn_id: str) -> None:
        others = [lease for lease in self._pool.leases() if lease.turn_id != turn_id]
        if others and (self._handing_over is None or self._handing_over.done()):
            log.warning("turns_leave_a_blocked_process", turns=len(others), blocked_by=turn_id)
            self._handing_over = asyncio.create_task(self._pool.hand_over(others))
