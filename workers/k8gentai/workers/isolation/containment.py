"""Keeps agents' code from ending the event loop it runs on, and from ending what is not its own.

asyncio lets ``SystemExit`` and ``KeyboardInterrupt`` out of a task and through ``run_forever``: right for a
program, wrong for a loop that many turns share. A task made by :func:`contained_task`, whoever makes it, ends with
:class:`AgentExitError` instead, an ordinary exception, which fails the one turn. So does code of
an agent that sends its own process a signal to end, after :func:`contain_signals`.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Generator
from pathlib import Path
from typing import Any

import structlog

from k8gentai.agents.code.exceptions import AgentExitError, contained
from k8gentai.workers.isolation.current_attempt import RunningAttempt, current_attempt
from k8gentai.workers.isolation.own_variables import own_variables
from k8gentai.workers.isolation.process_exits import ENDING_SIGNALS
from k8gentai.workers.isolation.standard_streams import STANDARD_FILES

_FILES = Path("/proc/self/fd")

log = structlog.get_logger(__name__)


class _Contained(Coroutine[Any, Any, Any]):
    """A coroutine whose exits are ordinary exceptions.

    Args:
        inner: the coroutine.
    """

    def __init__(self, inner: Coroutine[Any, Any, Any]) -> None:
        self._inner = inner

    def send(self, value: Any) -> Any:
        return _contained(self._inner.send, value)

    def throw(self, *error: Any) -> Any:
        return _contained(self._inner.throw, *error)

    def close(self) -> None:
        _contained(self._inner.close)

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._inner.__await__()

    def __getattr__(self, name: str) -> Any:
        # Who looks at a task (asyncio for its stack, anyio for its state) looks at the coroutine's attributes.
        return getattr(self._inner, name)


class _Task(asyncio.Task[Any]):
    """A task that the code of another turn cannot cancel: agents cancel "all tasks" and mean their own.

    What an ended turn left behind, as in a client that turns share, is anybody's to cancel.
    """

    def __init__(self, coroutine: _Contained, **options: Any) -> None:
        context = options.get("context")
        self._owner = current_attempt.get() if context is None else context.get(current_attempt)
        super().__init__(coroutine, **options)

    def cancel(self, msg: Any | None = None) -> bool:
        caller = current_attempt.get()
        if caller is not None and caller is not self._owner and not _is_over(self._owner):
            log.warning("foreign_task_not_cancelled", task=self.get_name())
            return False
        return super().cancel(msg)


def _is_over(owner: RunningAttempt | None) -> bool:
    return owner is not None and owner.over


def contained_task(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
    """Make a task of a coroutine: a task factory for the loop that agents run on."""
    return _Task(_Contained(coroutine), loop=loop, **options)


def contain_signals() -> None:
    """Have agents' code that tells this process to end, by a signal, fail instead.

    To be called before agents are imported, once.
    """
    worker, kill, kill_group, raise_signal = os.getpid(), os.kill, os.killpg, signal.raise_signal

    def contained_kill(pid: int, signum: int, /) -> None:
        _check_signal(signum, ours=pid in (worker, 0, -os.getpgrp()) and os.getpid() == worker)
        kill(pid, signum)

    def contained_kill_group(group: int, signum: int, /) -> None:
        _check_signal(signum, ours=group in (0, os.getpgrp()) and os.getpid() == worker)
        kill_group(group, signum)

    def contained_raise_signal(signum: int, /) -> None:
        _check_signal(signum, ours=os.getpid() == worker)
        raise_signal(signum)

    os.kill, os.killpg, signal.raise_signal = contained_kill, contained_kill_group, contained_raise_signal


def _check_signal(signum: int, *, ours: bool) -> None:
    """Let a signal pass, unless an agent's code tells the worker to end by it.

    Raises:
        AgentExitError: it does.
    """
    if ours and signum in ENDING_SIGNALS and _is_agents_code():
        raise AgentExitError(f"{signal.Signals(signum).name} was sent to the worker's own process")


def _is_agents_code() -> bool:
    """Return whether the code at hand is an agent's, in a turn or being imported."""
    return current_attempt.get() is not None or own_variables.get() is not None


def end_if_forked(worker: int) -> None:
    """End a child that agents' code forked and that comes to the end of that code, as if it were the worker.

    It has one thread, and the files of the worker: its loop would take events from the worker's.

    Args:
        worker: the process in which the code began.
    """
    if os.getpid() != worker:
        os._exit(0)


def contain_files() -> None:
    """Have agents' code fail that closes all files, the worker's among them.

    To be called when the worker's event loop runs, before agents are imported, once.
    """
    worker, close, close_range = os.getpid(), os.close, os.closerange
    files = [*_FILES.iterdir()] if _FILES.is_dir() else []
    own = STANDARD_FILES | {int(file.name) for file in files if _is_of_a_loop(file) or _is_standard_error(file)}

    def check(*numbers: int) -> None:
        if _is_agents_code() and os.getpid() == worker and own.intersection(numbers):
            raise AgentExitError("files were closed that are the worker's own")

    def contained_close(fd: int) -> None:
        check(fd)
        close(fd)

    def contained_close_range(fd_low: int, fd_high: int, /) -> None:
        check(*(number for number in own if fd_low <= number < fd_high))
        close_range(fd_low, fd_high)

    os.close, os.closerange = contained_close, contained_close_range


def _is_standard_error(file: Path) -> bool:
    """Return whether an open file is standard error, as the log's is: were its number free, the log would be
    written into the next connection."""
    try:
        return os.path.sameopenfile(int(file.name), 2)
    except OSError:
        return False


def _is_of_a_loop(file: Path) -> bool:
    """Return whether an open file is what an event loop waits with, which is open for as long as the loop is."""
    try:
        return "eventpoll" in str(file.readlink())
    except OSError:
        return False


def run_on(loop: asyncio.AbstractEventLoop, until: Callable[[], bool]) -> None:
    """Run an event loop, and go on where agents' code stopped it.

    Args:
        loop: the loop.
        until: whether it was stopped by who may.
    """
    while True:
        try:
            loop.run_forever()
        except (SystemExit, KeyboardInterrupt) as error:
            # Out of a callback: no task is at fault, so no turn is.
            log.warning("exit_out_of_a_callback", exc_info=error)
        if until():
            return


def _contained(step: Callable[..., Any], *arguments: Any) -> Any:
    worker = os.getpid()
    try:
        return step(*arguments)
    except (SystemExit, KeyboardInterrupt, GeneratorExit) as error:
        raise contained(error) from error
    finally:
        end_if_forked(worker)
