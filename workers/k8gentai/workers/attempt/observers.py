"""Those who watch attempts from beside: logs today, and whatever counts, traces or audits turns.

An observer sees what happens and changes nothing of it. What belongs to a turn's outcome stands in its pipe: the
sequencer, the budget, the replay filter, the stream.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from k8gentai.agents.contract.events import Event, TurnEnd, TurnFailed
from k8gentai.workers.queue.attempts import Started

log = structlog.get_logger(__name__)


class Observer(Protocol):
    """Watches the attempts of one worker. It is called on the worker's own loop, where all turns wait for it."""

    def began(self, started: Started) -> None:
        """Take note that an attempt begins."""
        ...

    def published(self, started: Started, event: Event) -> None:
        """Take note of an event on its way to the turn's stream: the first is that the attempt runs, the last the
        turn's end. What an earlier attempt published is not among them."""
        ...

    def failed(self, started: Started, end: TurnFailed, error: BaseException) -> None:
        """Take note that an agent raised an error.

        Args:
            started: the attempt.
            end: the event that ends the turn, unless it is lost before that is written.
            error: the error, of which the turn's client sees a message alone.
        """
        ...

    def ended(self, started: Started, end: TurnEnd | None) -> None:
        """Take note that an attempt is over.

        Args:
            started: the attempt.
            end: what the turn ended with, as it stands in Redis; None where the attempt did not end it: it was
                lost, handed over or broke off.
        """
        ...


class Observers:
    """All observers of a worker. One that fails is logged, and harms neither the turn nor the others.

    Args:
        observers: in the order in which they are called.
    """

    def __init__(self, observers: Sequence[Observer] = ()) -> None:
        self._observers = tuple(observers)

    def began(self, started: Started) -> None:
        """Pass on that an attempt begins."""
        self._each(lambda observer: observer.began(started))

    def published(self, started: Started, event: Event) -> None:
        """Pass on an event."""
        self._each(lambda observer: observer.published(started, event))

    def failed(self, started: Started, end: TurnFailed, error: BaseException) -> None:
        """Pass on that an agent raised an error."""
        self._each(lambda observer: observer.failed(started, end, error))

    def ended(self, started: Started, end: TurnEnd | None) -> None:
        """Pass on that an attempt is over."""
        self._each(lambda observer: observer.ended(started, end))

    def _each(self, notify: Callable[[Observer], None]) -> None:
        for observer in self._observers:
            try:
                notify(observer)
            except Exception:
                log.exception("observer_failed", observer=type(observer).__name__)
