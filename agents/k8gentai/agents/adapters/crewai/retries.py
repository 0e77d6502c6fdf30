"""Leaves trying again to the gateway, which has tried by the time that CrewAI hears of a failed model call."""

from functools import wraps
from typing import Any

from crewai import Agent
from crewai.llms.retry import _active_llm_rate_limit_retry, _ThrottlingErrorClassifier
from openai import APIError


def leave_retries_to_the_gateway() -> None:
    """Have models be asked once for an answer. To be called where the turn begins, as it is a matter of the
    context."""
    _active_llm_rate_limit_retry.set(True)


def hook_agents() -> None:
    """Have agents end with the error of their model. They would do their task anew, ``max_retry_limit`` times."""
    agent: Any = Agent
    check = agent._check_execution_error
    if hasattr(check, "__wrapped__"):
        return

    @wraps(check)
    def wrapped(self: Agent, error: Exception, *rest: Any) -> None:
        if any(isinstance(cause, APIError) for cause in _ThrottlingErrorClassifier.iter_error_chain(error)):
            raise error
        check(self, error, *rest)

    agent._check_execution_error = wrapped
