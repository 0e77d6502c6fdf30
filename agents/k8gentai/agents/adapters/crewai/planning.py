"""Tells the model calls by which CrewAI's agents plan their work (``reasoning``, ``planning_config``) from those
by which they do it: code reads their answers."""

from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from typing import Any

from crewai.agents.planner_observer import PlannerObserver
from crewai.utilities.reasoning_handler import AgentReasoning

plans: ContextVar[bool] = ContextVar("plans", default=False)
"""Whether the code at hand plans."""


def hook_planning() -> None:
    """Wrap what makes plans, and what looks at how they go. Doing it twice changes nothing."""
    make = AgentReasoning.handle_agent_reasoning
    if not hasattr(make, "__wrapped__"):
        AgentReasoning.handle_agent_reasoning = _planning(make)
        PlannerObserver.observe = _planning(PlannerObserver.observe)


def _planning(work: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(work)
    def planning(*args: Any, **options: Any) -> Any:
        token = plans.set(True)
        try:
            return work(*args, **options)
        finally:
            plans.reset(token)

    return planning
