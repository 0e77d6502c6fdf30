"""The signals that end a worker's process, and its exit codes, for those that start it again."""

import os
import signal
import threading

ENDING_SIGNALS = (signal.SIGTERM, signal.SIGINT)
"""Signals by which a worker is told to end."""

REPLACE = os.EX_TEMPFAIL
"""The exit code of a worker that has given its turns back and is to be started again: an agent's code
blocks it for good or has changed, or it has grown too large."""

_LINGER_SECONDS = 5.0


def end_for_certain(code: int) -> None:
    """Have this process end within a moment: a thread that an agent left behind would keep it as long as it likes.

    Args:
        code: the process's exit code.
    """
    timer = threading.Timer(_LINGER_SECONDS, os._exit, (code,))
    timer.daemon = True
    timer.start()
