"""The environment of programs that agents' code starts and gives none: it is the one that this code sees.

Python hands such programs the process's, where what an agent set for itself alone is missing.
"""

import _posixsubprocess
import os
import subprocess
from collections.abc import Callable
from contextvars import Context
from functools import wraps
from multiprocessing.forkserver import ForkServer
from typing import Any, Never

from k8gentai.workers.isolation.own_variables import own_variables

_ENVIRONMENT = 5
"""The place of the environment among the arguments of ``fork_exec``."""


def pass_on_variables() -> None:
    """Give programs that an agent's code starts its own variables.

    To be called before agents are imported, once.
    """
    forking: Any = _posixsubprocess
    starting: Any = subprocess
    # By it ``multiprocessing`` starts programs, and ``subprocess`` with all that comes to it (asyncio, os.popen).
    forking.fork_exec = starting._fork_exec = _passing_on(forking.fork_exec)
    os.execv = _replacing(os.execv)
    os.system = _run_by_shell(os.system)  # type: ignore[assignment]
    server: Any = ForkServer
    server.ensure_running = _of_nobody(server.ensure_running)


def _passing_on(fork_exec: Callable[..., int]) -> Callable[..., int]:
    @wraps(fork_exec)
    def started(*given: Any) -> int:
        if given[_ENVIRONMENT] is None and own_variables.get():
            variables = [os.fsencode(name) + b"=" + os.fsencode(value) for name, value in os.environ.items()]
            given = (*given[:_ENVIRONMENT], variables, *given[_ENVIRONMENT + 1 :])
        return fork_exec(*given)

    return started


def _replacing(execv: Callable[..., Never]) -> Callable[..., Never]:
    @wraps(execv)
    def replaced(path: Any, argv: Any, /) -> Never:
        if own_variables.get():
            os.execve(path, argv, os.environ)  # noqa: S606 - the code asks for it
        execv(path, argv)

    return replaced


def _run_by_shell(system: Callable[[Any], int]) -> Callable[[Any], int]:
    @wraps(system)
    def run(command: Any) -> int:
        if not own_variables.get():
            return system(command)
        shell = os.posix_spawn("/bin/sh", ("sh", "-c", os.fsencode(command)), os.environ)
        return os.waitpid(shell, 0)[1]

    return run


def _of_nobody(ensure_running: Callable[[ForkServer], None]) -> Callable[[ForkServer], None]:
    """Start the process that forks children for all agents with no agent's variables."""

    @wraps(ensure_running)
    def ensured(self: ForkServer) -> None:
        Context().run(ensure_running, self)

    return ensured
