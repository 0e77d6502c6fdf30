"""Words the end of a turn that did not end well: one sentence a person can act on, never a stack trace."""

import asyncio
import contextlib
import traceback

from k8gentai.agents.code.exceptions import raised, words_of
from k8gentai.agents.contract.events import TurnFailed
from k8gentai.agents.contract.turn import AgentLoadError, StepLimitReached, TurnError
from k8gentai.agents.text.utf8 import message_of
from k8gentai.workers.gateway.model_calls import TURN_HEADER, ModelCalls, ModelError

_LONGEST = 1_000
"""Characters of an agent's own words that a message carries."""

_HTTP_CLIENTS = frozenset({"httpcore", "httpcore2", "httpx", "httpx2"})
"""Packages that model SDKs call by."""


def failure(error: BaseException, calls: ModelCalls | None) -> TurnFailed:
    """Return what a turn ends with when its attempt raised ``error``.

    Args:
        error: the error that the adapter or the agent raised.
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
    if calls and (model := _left_model(error, calls)):
        message = f"model {model}: the agent waited no longer for its answer ({type(error).__name__}: {words})"
        return TurnFailed(code="model_error", message=message)
    silent = f" (model {calls.silent} answered with neither words nor calls)" if calls and calls.silent else ""
    return TurnFailed(code="agent_error", message=f"the agent raised {words_of(error)[:_LONGEST]}{silent}")


def _left_model(error: BaseException, calls: ModelCalls) -> str | None:
    """Return the model whose answer a time-out says that the agent waited no longer for."""
    if not _is_timeout(error):
        return None
    # A client that gives up closes its connection before its error gets here.
    left = calls.last_asked if _is_of_model_call(error) else calls.left if _ended_http_call(error) else None
    return next(iter(calls.waited_for.values()), left)


def _is_of_model_call(error: BaseException) -> bool:
    """Return whether an error, or one that it came of, is an HTTP client's about a call of the model gateway."""
    seen: list[BaseException] = []
    more: BaseException | None = error
    while more is not None and more not in seen:
        seen.append(more)
        # Clients raise an error of their own where there is no request.
        with contextlib.suppress(Exception):
            if TURN_HEADER in more.request.headers:  # type: ignore[attr-defined]
                return True
        more = more.__cause__ or more.__context__
    return False


def _ended_http_call(error: BaseException) -> bool:
    """Return whether a time-out is asyncio's and cancelled what waited for an HTTP client."""
    cancelled = error.__cause__
    if not isinstance(cancelled, asyncio.CancelledError):
        return False
    frames = (frame for frame, _ in traceback.walk_tb(cancelled.__traceback__))
    return any(str(frame.f_globals.get("__name__")).partition(".")[0] in _HTTP_CLIENTS for frame in frames)


def _is_timeout(error: BaseException) -> bool:
    """Return whether an error is a time-out, in one of the ways in which frameworks and HTTP clients have their
    own.
    """
    return isinstance(error, TimeoutError) or "Timeout" in type(error).__name__


def over_time(seconds: float, place: str | None = None, model: str | None = None) -> TurnFailed:
    """Return what a turn ends with that ran longer than its definition allows.

    Args:
        seconds: the limit.
        place: the line of its code that let nothing else run, if one did.
        model: the one that was answering, if one was.
    """
    message = f"the turn did not end within its limit of {seconds:g} s"
    blocked = f"; {place} held up the event loop: await what it does, or call it with asyncio.to_thread"
    waiting = f": model {model} had not ended its answer"
    cause = blocked if place else waiting if model else ""
    return TurnFailed(code="time_limit", message=f"{message}{cause}")


def stack_lost(error: Exception, seconds: float) -> TurnFailed:
    """Return what a turn ends with whose model's answers were cut off, again and again, by the end of the stack's
    server.

    Args:
        error: the error of the last one.
        seconds: for how long that went on.
    """
    message = f"the stack's server went away during the model's answers, for more than {seconds:g} s: {error}"
    return TurnFailed(code="model_error", message=message)


def _root(error: BaseException) -> BaseException:
    """Return the error inside groups that hold only one; what the agent raised, where that was contained."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return raised(error)
