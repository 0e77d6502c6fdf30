"""Finds what an error of BeeAI's came of: its own say little of what happened."""

from beeai_framework.errors import FrameworkError


def cause_of(error: BaseException) -> BaseException:
    """Return the first cause of an error that is not of BeeAI; the last of BeeAI's own where there is none."""
    seen: list[BaseException] = []
    while (cause := _inside(error)) is not None and cause not in seen:
        seen.append(error)
        error = cause
    return error


def _inside(error: BaseException) -> BaseException | None:
    # Listeners run in a task group.
    if isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        return error.exceptions[0]
    cause = error.__cause__ if isinstance(error, FrameworkError) else None
    # A cancellation would look as if we were cancelled ourselves.
    return cause if isinstance(cause, Exception) else None
