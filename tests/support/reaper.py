"""Ends the processes of a test run that was itself ended: ``kill -9``, a time limit of CI's.

The run tells it on standard input of each that it starts (``+PID``, which leads a process group) and of each that
is gone (``-PID``); the end of the input is the end of the run.
"""

import contextlib
import os
import signal
import sys


def main() -> None:
    running: set[int] = set()
    for line in sys.stdin:
        (running.add if line.startswith("+") else running.discard)(int(line[1:]))
    for pid in running:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
