"""Writes what a worker's process leaves to its witness (:mod:`k8gentai.workers.process.witness`) should it end."""

import faulthandler
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

from k8gentai.agents.code.loading import is_own_code
from k8gentai.agents.text.utf8 import message_of
from k8gentai.workers.process.witness import ALIVE


class LastWords:
    """Starts the process's witness. To be made before agents are imported, once.

    Args:
        redis_url: the address of the Redis in which the witness notes the end.
        pool: the worker's.
        worker: the worker's name.
        turn: returns the id of the turn that the code at hand works for, "" where for none.
    """

    def __init__(self, redis_url: str, pool: str, worker: str, turn: Callable[[], str]) -> None:
        self._turn = turn
        self._process = os.getpid()
        # In a session of its own: what ends a whole group of processes is to leave a witness.
        witness = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "k8gentai.workers.process.witness", str(self._process)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        assert witness.stdin is not None  # noqa: S101 - it was asked for
        self._pipe = witness.stdin
        self._say({"redis_url": redis_url, "pool": pool, "worker": worker})
        faulthandler.enable(self._pipe.fileno(), all_threads=False)
        # An agent's own would lose the cause of a crash.
        self._disable_faulthandler = faulthandler.disable
        faulthandler.enable = faulthandler.disable = _ignore
        os.register_at_fork(after_in_child=self._forget)
        self._exit = os._exit
        os._exit = self._noted_exit

    def starting(self, step: str) -> None:
        """Say which step of its start the process begins, such as "the import of agent a"."""
        self._say({"starting": step})

    def alive(self) -> None:
        """Say that code runs in this process. From any thread."""
        self._write(ALIVE)

    def stopping(self) -> None:
        """Say that the process was told to stop: whoever kills it now does so as it takes too long."""
        self._say({"stopping": True})

    def raised(self, error: BaseException) -> None:
        """Say that the process ends with an error."""
        self._say({"raised": f"{type(error).__name__}: {message_of(error)}"})

    def end(self, error: BaseException) -> NoReturn:
        """End the process at once, with an error. From any thread."""
        self.raised(error)
        self._exit(1)

    def ended(self, *, kept: bool = False) -> None:
        """Say that the process ends in order.

        Args:
            kept: whether it has turns yet that it could not give back.
        """
        self._say({"ended": True, "kept": kept})

    def _noted_exit(self, status: int) -> NoReturn:
        if os.getpid() == self._process:
            self._say({"exit": status, "turn": self._turn(), "place": _place()})
        self._exit(status)

    def _forget(self) -> None:
        """Close the witness's pipe in a child process, which has nothing to say, and must not keep the witness
        waiting."""
        self._disable_faulthandler()
        with suppress(OSError):
            self._pipe.close()

    def _say(self, words: dict[str, Any]) -> None:
        self._write(json.dumps(words).encode() + b"\n")

    def _write(self, words: bytes) -> None:
        with suppress(OSError, ValueError):  # Somebody has ended the witness.
            os.write(self._pipe.fileno(), words)


def _ignore(*_: Any, **__: Any) -> None:
    """Stand for what enables or disables the fault handler."""


def _place() -> str:
    frames = reversed(traceback.extract_stack())
    own = (frame for frame in frames if is_own_code(frame.filename) and frame.filename != __file__)
    found = next(own, None)
    return f"{found.filename}:{found.lineno}" if found else ""
