"""Tells inner model calls, whose answers are read by the agent's own code, from those that answer the turn: what a
request asks of the answer's form is no matter for them."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

is_inner: ContextVar[bool] = ContextVar("is_inner", default=False)
"""Whether a model call that the code at hand makes is an inner one."""


@contextmanager
def making_calls(*, inner: bool) -> Iterator[None]:
    """While inside, model calls are inner ones, or are not."""
    token = is_inner.set(inner)
    try:
        yield
    finally:
        is_inner.reset(token)
