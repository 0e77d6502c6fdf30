"""Has the prompts of a framework give the turn's own time: run again, they are the same."""

from collections.abc import Callable
from datetime import datetime, tzinfo


def turn_time(asked_at: Callable[[], datetime | None]) -> type[datetime]:
    """Return what stands for ``datetime`` in a framework's module.

    Args:
        asked_at: returns when the turn at hand was asked, in UTC; None outside of turns.
    """

    class TurnTime(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]  # any datetime will do
            """Return when the turn was asked; outside of turns, the time."""
            if (asked := asked_at()) is None:
                return datetime.now(tz)
            return asked.astimezone().replace(tzinfo=None) if tz is None else asked.astimezone(tz)

    return TurnTime
