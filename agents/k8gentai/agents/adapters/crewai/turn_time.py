"""Has CrewAI's prompts (``inject_date``) and the ``now`` of a flow's expressions give the turn's own time."""

from datetime import datetime

from crewai.flow import expressions, runtime
from crewai.utilities import prompts

from k8gentai.agents.adapters.base.turn_time import turn_time
from k8gentai.agents.adapters.crewai.run import current_run


def pin_time() -> None:
    """Put the turn's time in the place of the clock's. Doing it twice changes nothing."""
    prompts.datetime = runtime.datetime = expressions.datetime = turn_time(_asked_at)


def _asked_at() -> datetime | None:
    run = current_run.get()
    return None if run is None else run.asked_at
