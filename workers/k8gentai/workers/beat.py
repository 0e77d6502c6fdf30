"""The worker's heartbeat: a thread of its own, so that an agent that blocks the event loop costs no lease."""

import threading
from collections.abc import Callable

import structlog

from k8gentai.workers.attempts import Lease, Leases
from k8gentai.workers.connection import UNREACHABLE
from k8gentai.workers.registration import TurnWorker

log = structlog.get_logger(__name__)


class Beat:
    """Renews leases, keeps the worker registered, and brings back the turns of dead workers.

    Args:
        leases: does the renewing and reaping.
        worker: the worker's registration.
        running: gives the leases this worker holds now; called in the beat's thread.
        on_lost: told of leases that were lost; called in the beat's thread.
        every_seconds: the pause between beats; at most a third of a lease.
    """

    def __init__(
        self,
        leases: Leases,
        worker: TurnWorker,
        *,
        running: Callable[[], list[Lease]],
        on_lost: Callable[[list[Lease]], None],
        every_seconds: float,
    ) -> None:
        self._leases = leases
        self._worker = worker
        self._running = running
        self._on_lost = on_lost
        self._every_seconds = every_seconds
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
        while not self._stop.wait(self._every_seconds):
            try:
                self._once()
            except UNREACHABLE as error:
                log.warning("redis_away", error=str(error))

    def _once(self) -> None:
        running = self._running()
        if lost := self._leases.renew(running):
            self._on_lost(lost)
        for turn_id, what in self._leases.reap():
            log.warning("turn_of_dead_worker", turn=turn_id, now=what)
        self._worker.beat(len(running))
