"""Logs the turns of a worker that fail."""

import structlog

from k8gentai.agents.contract.events import Event, TurnEnd, TurnFailed
from k8gentai.workers.queue.attempts import Started

log = structlog.get_logger(__name__)


class TurnLog:
    """Logs what an agent raised that failed its turn (:class:`k8gentai.workers.attempt.observers.Observer`)."""

    def began(self, started: Started) -> None:
        """Log nothing: a worker begins thousands of turns."""

    def published(self, started: Started, event: Event) -> None:
        """Log nothing: the turn's stream has its events."""

    def failed(self, started: Started, end: TurnFailed, error: BaseException) -> None:
        """Log the error, of which the client is told a message alone."""
        log.warning("turn_failed", turn=started.lease.turn_id, code=end.code, exc_info=error)

    def ended(self, started: Started, end: TurnEnd | None) -> None:
        """Log nothing: the turn's record says how it ended."""
