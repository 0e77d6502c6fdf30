"""Watches which worker takes up each turn, and when: recovery is measured by that."""

import asyncio
import time
from dataclasses import dataclass, field

from k8gentai.agents.contract.events import TurnStarted
from k8gentai.workers.queue.connection import AWAY
from k8gentai.workers.queue.turns import TurnNotFoundError, Turns


@dataclass
class _Struck:
    """A worker was struck while it ran the turn."""

    how: str
    at: float


@dataclass
class Watch:
    """One turn, as its events come.

    Args:
        turns: the turns in Redis, which have the events.
        turn_id: the turn.
    """

    turns: Turns
    turn_id: str
    worker: str | None = None
    """The worker that runs it, by the events so far; None where none does."""
    attempts: list[str] = field(default_factory=list)
    """The workers that took it up, in order."""
    recoveries: list[tuple[str, float]] = field(default_factory=list)
    """The strikes on its worker, each with the seconds until another took the turn up."""
    ended: bool = False
    """Whether there is nothing more to come."""
    _struck: _Struck | None = None

    @property
    def is_struck(self) -> bool:
        """Whether its worker was struck, and no other has taken it up yet."""
        return self._struck is not None

    def strike(self, how: str, worker: str) -> None:
        """Note that a worker is being struck now."""
        if self.worker == worker:
            self._struck = _Struck(how, time.monotonic())

    async def follow(self) -> None:
        """Watch to the turn's end, while Redis is away too."""
        seq = 0
        while True:
            try:
                async for position, event in self.turns.follow(self.turn_id, seq):
                    seq = position
                    if isinstance(event, TurnStarted):
                        self._started(event.worker)
            except AWAY:
                await asyncio.sleep(0.05)
            except TurnNotFoundError:
                break
            else:
                break
        self.worker = None
        self.ended = True

    def _started(self, worker: str) -> None:
        if self._struck is not None:
            self.recoveries.append((self._struck.how, time.monotonic() - self._struck.at))
            self._struck = None
        self.worker = worker
        self.attempts.append(worker)
