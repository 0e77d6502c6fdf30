"""How a turn ends that did not end well: one sentence a person can act on, never a stack trace."""

from k8gentai.agents.events import TurnFailed
from k8gentai.agents.text import message_of
from k8gentai.agents.turn import AgentLoadError, StepLimitReached, TurnError
from k8gentai.workers.calls import ModelCalls, ModelError
from k8gentai.workers.containment import AgentExitError

_LONGEST = 1_000
"""Characters of an agent's own words that a message carries."""


def failure(error: BaseException, calls: ModelCalls | None) -> TurnFailed:
    """Return what a turn ends with when its attempt raised ``error``.

    Args:
        error: what the adapter or the agent raised.
        calls: the attempt's model calls, once it has any: where the last one failed, that is the cause.
    """
    error = _root(error)
    cause = (calls.error if calls else None) or error
    match cause:
        case StepLimitReached():
            return TurnFailed(code="step_limit", message=message_of(cause))
        case TurnError():
            return TurnFailed(code=cause.code, message=message_of(cause)[:_LONGEST])
        case AgentLoadError():
            return TurnFailed(code="agent_unavailable", message=message_of(cause))
        case ModelError():
            return TurnFailed(code=cause.code, message=message_of(cause))
    words = message_of(error)[:_LONGEST]
    if calls and calls.waited_for and _is_timeout(error):
        model = next(iter(calls.waited_for.values()))
        message = f"model {model}: the agent waited no longer for its answer ({type(error).__name__}: {words})"
        return TurnFailed(code="model_error", message=message)
    return TurnFailed(
        code="agent_error",
        message=f"the agent raised {type(error).__name__}: {words}"
        if words
        else f"the agent raised {type(error).__name__}",
    )


def _is_timeout(error: BaseException) -> bool:
    """Return whether an error is a time-out, in one of the ways in which frameworks and HTTP clients have their
    own.
    """
    return isinstance(error, TimeoutError) or "Timeout" in type(error).__name__


def over_time(seconds: float, place: str | None = None) -> TurnFailed:
    """Return what a turn ends with that ran longer than its definition allows.

    Args:
        seconds: the limit.
        place: the line of its code that let nothing else run, if one did.
    """
    message = f"the turn did not end within its limit of {seconds:g} s"
    blocked = f"; {place} held up the event loop: await what it does, or call it with asyncio.to_thread"
    return TurnFailed(code="time_limit", message=f"{message}{blocked if place else ''}")


def stack_lost(error: Exception, seconds: float) -> TurnFailed:
    """Return what a turn ends with whose model's answers were cut off, again and again, by the end of the stack's
    server.

    Args:
        error: how the last one was.
        seconds: for how long that went on.
    """
    message = f"the stack's server went away during the model's answers, for more than {seconds:g} s: {error}"
    return TurnFailed(code="model_error", message=message)


def _root(error: BaseException) -> BaseException:
    """Return the error inside groups that hold only one; what the agent raised, where that was contained."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error.__cause__ or error if isinstance(error, AgentExitError) else error
