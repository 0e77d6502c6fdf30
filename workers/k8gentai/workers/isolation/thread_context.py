"""Takes context variables along into threads that agents' code starts, as ``asyncio.to_thread`` does.

A model call or a tool belongs to the turn that a context variable names. Python's own threads and executors begin
with none, so there a call would belong to nobody. OpenTelemetry wraps the same two methods for the same reason
(https://opentelemetry-python-contrib.readthedocs.io/en/latest/instrumentation/threading/threading.html).

A pool that one turn makes works for later ones too: its threads belong to none, and each piece of work to who
gives it. What a thread of an agent's own is given by a queue of its own nobody sees: its work belongs to the turn
that started it, and to none once that is over.
"""

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import Context, copy_context
from functools import partial, wraps
from multiprocessing.pool import ThreadPool
from threading import Thread
from typing import Any

from k8gentai.workers.isolation.containment import end_if_forked
from k8gentai.workers.isolation.current_attempt import current_attempt

_TASKS = ("apply_async", "_map_async", "imap", "imap_unordered")
"""The methods of a pool that take a function; its other methods call these."""


def carry_context() -> None:
    """Wrap what starts work in threads. Code that belongs to no turn is not touched. Call once a process."""
    thread: Any = Thread
    thread.start = _started(thread.start)
    executor: Any = ThreadPoolExecutor
    executor.submit = _submitted(executor.submit)
    pool: Any = ThreadPool
    pool.__init__ = _without_context(pool.__init__)
    for name in _TASKS:
        setattr(pool, name, _taken(getattr(pool, name)))


def _started(start: Callable[[Thread], None]) -> Callable[[Thread], None]:
    @wraps(start)
    def started(self: Thread) -> None:
        if current_attempt.get() is not None:
            context, run = copy_context(), self.run
            self.run = lambda: context.run(_to_its_end, run)  # type: ignore[method-assign]
        start(self)

    return started


def _submitted(submit: Callable[..., Future[Any]]) -> Callable[..., Future[Any]]:
    @wraps(submit)
    def submitted(self: ThreadPoolExecutor, function: Callable[..., Any], /, *args: Any, **options: Any) -> Any:
        if current_attempt.get() is None:
            return submit(self, function, *args, **options)
        # Its thread, which may be started here, works for other turns later.
        return Context().run(submit, self, copy_context().run, _for_a_future, function, *args, **options)

    return submitted


def _for_a_future(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Call a function. No asyncio future takes StopIteration, so that who awaited it would wait for ever, nor
    GeneratorExit, which would close who awaits it.

    Raises:
        RuntimeError: it raised one of them, as where a generator does (PEP 479).
    """
    try:
        return _to_its_end(function, *args, **options)
    except (StopIteration, GeneratorExit) as error:
        raise RuntimeError(f"{name_of(function)} raised {type(error).__name__}") from error


def name_of(function: Callable[..., Any]) -> str:
    """Return the name of a function, be it handed on as a partial, or to be run in a context as by
    ``asyncio.to_thread``.
    """
    while isinstance(function, partial):
        in_context = isinstance(getattr(function.func, "__self__", None), Context)
        function = function.args[0] if in_context and function.args else function.func
    return str(getattr(function, "__name__", "the function"))


def _to_its_end(function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    worker = os.getpid()
    try:
        return function(*args, **options)
    finally:
        end_if_forked(worker)


def _without_context(make: Callable[..., None]) -> Callable[..., None]:
    @wraps(make)
    def made(self: ThreadPool, *args: Any, **options: Any) -> None:
        Context().run(make, self, *args, **options)

    return made


def _taken(take: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(take)
    def taken(self: ThreadPool, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        if current_attempt.get() is None:
            return take(self, function, *args, **options)
        context = copy_context()

        @wraps(function)
        def carried(*given: Any, **named: Any) -> Any:
            # A context is entered by one thread at a time.
            return context.copy().run(_to_its_end, function, *given, **named)

        return take(self, carried, *args, **options)

    return taken
