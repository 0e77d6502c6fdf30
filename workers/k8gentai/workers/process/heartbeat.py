"""The worker's heartbeat: a thread of its own, so that an agent that blocks the event loop costs no lease."""

import threading
import time
from collections.abc import Callable

import structlog

from k8gentai.workers.queue.attempts import Lease, Leases
from k8gentai.workers.queue.connection import AWAY
from k8gentai.workers.queue.rq_worker import TurnWorker

_FAILURES = 5
"""Beats in a row that may fail by a fault of ours. It is the time of a lease, after which others run the turns."""

log = structlog.get_logger(__name__)


def beat_seconds(lease_seconds: float) -> float:
    """Return the pause between beats that keep leases which last so long."""
    return lease_seconds / 5


class Beat:
    """Renews leases, keeps the worker registered, and brings back the turns of dead workers.

    Nothing ends it but :meth:`stop`, or that leases cannot be renewed though Redis answers.

    Args:
        leases: does the renewing and reaping.
        worker: the worker's registration.
        running: gives the leases this worker holds now; called in the beat's thread.
        on_lost: told of leases that were lost; called in the beat's thread.
        on_beat: called with each beat, in the beat's thread.
        on_end: called in the beat's thread when it ends by itself: the process can keep no turn, and must end.
        lease_seconds: the seconds that a lease lasts; see :func:`beat_seconds`.
    """

    def __init__(
        self,
        leases: Leases,
        worker: TurnWorker,
        *,
        running: Callable[[], list[Lease]],
        on_lost: Callable[[list[Lease]], None],
        on_end: Callable[[], None],
        lease_seconds: float,
        on_beat: Callable[[], None] = lambda: None,
    ) -> None:
        self._leases = leases
        self._worker = worker
        self._running = running
        self._on_lost = on_lost
        self._on_beat = on_beat
        self._on_end = on_end
        self._lease_seconds = lease_seconds
        self._every_seconds = beat_seconds(lease_seconds)
        self._failures = 0
        self._kept_at = time.monotonic()
        self._reap_from = 0.0
        self._owed: set[Lease] = set()
        """The leases that were held as Redis was away, and may have been lost: that is no fault of their turns."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="beat", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def stop(self) -> None:
        """Stop, and wait for the last beat."""
        self._stop.set()
        self._thread.join(timeout=self._every_seconds + 1)

    def _beat(self) -> None:
        try:
            while not self._stop.wait(self._every_seconds) and self._failures < _FAILURES:
                self._look_after_itself()
                if self._keep_leases():
                    self._look_after_others()
        finally:
            if not self._stop.is_set():
                log.critical("leases_cannot_be_kept")
                self._on_end()

    def _look_after_itself(self) -> None:
        try:
            self._on_beat()
        except Exception:
            # Its leases are kept all the same.
            log.exception("beat_failed")

    def _keep_leases(self) -> bool:
        held = self._running()
        try:
            if lost := self._leases.renew(held):
                self._on_lost(lost)
            self._owed.difference_update(set(held).difference(lost))
            self._acquit()
        except AWAY as error:
            self._was_away(error, held)
        except Exception:
            self._failures += 1
            log.exception("beat_failed")
        else:
            self._failures = 0
            self._kept()
            return True
        return False

    def _was_away(self, error: Exception, held: list[Lease]) -> None:
        self._owed.update(held)
        self._spare_others()
        log.warning("redis_away", error=str(error))

    def _acquit(self) -> None:
        """Have nothing held against turns that were lost as Redis was away: their attempts may be over by now, as
        they heard of it first."""
        owed, self._owed = self._owed, set()
        if owed:
            try:
                self._leases.acquit(self._worker.name, list(owed))
            except AWAY:
                self._owed = owed
                raise

    def _kept(self) -> None:
        """Note that leases were kept; where that took longer than a lease, nobody could keep theirs."""
        now = time.monotonic()
        if now - self._kept_at > self._lease_seconds:
            self._spare_others()
        self._kept_at = now

    def _spare_others(self) -> None:
        """Give the other workers the time of a lease to renew theirs before they count as dead, as Redis was
        away."""
        self._reap_from = time.monotonic() + self._lease_seconds

    def _look_after_others(self) -> None:
        held = self._running()
        try:
            # Of a worker that is known to be dead nothing more is to be waited for.
            for turn_id, what in self._leases.reap(buried=time.monotonic() < self._reap_from):
                log.warning("turn_of_dead_worker", turn=turn_id, now=what)
            self._worker.beat(len(held))
        except AWAY as error:
            self._was_away(error, held)
        except Exception:
            log.exception("beat_failed")
