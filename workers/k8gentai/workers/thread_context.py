"""Takes context variables along into threads that agents' code starts, as ``asyncio.to_thread`` does.

A model call or a tool belongs to the turn that a context variable names. Python's own threads and executors begin
with none, so there a call would belong to nobody. OpenTelemetry wraps the same two methods for the same reason
(https://opentelemetry-python-contrib.readthedocs.io/en/latest/instrumentation/threading/threading.html).
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import Context, copy_context
from functools import wraps
from threading import Thread
from typing import Any

from k8gentai.workers.calls import current_key


def carry_context() -> None:
    """Wrap what starts work in threads. Code that belongs to no turn is not touched. Call once a process."""
    thread: Any = Thread
    thread.start = _started(thread.start)
    executor: Any = ThreadPoolExecutor
    executor.submit = _submitted(executor.submit)


def _started(start: Callable[[Thread], None]) -> Callable[[Thread], None]:
    @wraps(start)
    def started(self: Thread) -> None:
        if current_key.get() is not None:
            context, run = copy_context(), self.run
            self.run = lambda: context.run(run)  # type: ignore[method-assign]
        start(self)

    return started


def _submitted(submit: Callable[..., Future[Any]]) -> Callable[..., Future[Any]]:
    @wraps(submit)
    def submitted(self: ThreadPoolExecutor, function: Callable[..., Any], /, *args: Any, **options: Any) -> Any:
        if current_key.get() is None:
            return submit(self, function, *args, **options)
        # Its thread, which may be started here, works for other turns later.
        return Context().run(submit, self, copy_context().run, function, *args, **options)

    return submitted
