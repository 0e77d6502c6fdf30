"""Ends every child of ``k8gentai up`` when it is gone, however it went (``kill -9`` included).

``up`` starts this first, in a process group of its own, and starts each child in that group. It holds the
writing end of this process's standard input and writes nothing: the end of that input is the end of ``up``.
Unlike Linux's parent-death signal this reaches grandchildren, and works on macOS.
"""

import os
import signal
import sys
import time

GRACE_SECONDS = 5
"""The seconds that children may take to end by themselves."""


def main() -> None:
    for ignored in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    sys.stdin.buffer.read()
    group = os.getpgrp()
    os.killpg(group, signal.SIGTERM)
    # Nothing tells when the last of a group ended, and ``up`` is no longer there to wait for it.
    time.sleep(GRACE_SECONDS)
    os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
