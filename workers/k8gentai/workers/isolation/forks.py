"""Has children that agents' code forks (``multiprocessing``) end with their worker and when they are told to."""

import os
import signal
import threading
from contextlib import suppress

from k8gentai.workers.isolation.process_exits import ENDING_SIGNALS


def end_forks_with_worker() -> None:
    """Have every forked child end when this process does, however that is, or by a signal. To be called once.

    A child holds the worker's sockets, and may wait for ever for something from it. The kernel's own signal for
    this (``PR_SET_PDEATHSIG``) goes by the thread that forked, which may end long before the process.
    """
    ended, held = os.pipe()

    def wait() -> None:
        # Only the worker has the other end. Nobody writes there.
        os.read(ended, 1)
        os._exit(1)

    def watch() -> None:
        nonlocal held
        if held >= 0:
            with suppress(OSError):  # Agents' code may close every file.
                os.close(held)
        # A child of this child may have another file of that number.
        held = -1
        with suppress(RuntimeError):  # There may be no more threads.
            threading.Thread(target=wait, name="worker's end", daemon=True).start()

    os.register_at_fork(after_in_child=watch)
    _part_signals()


def _part_signals() -> None:
    """Have signals that are to end a forked child do so. The worker's event loop would take them for its own: it
    learns of signals by a file that the child has, too.
    """
    forking = threading.local()

    def hold() -> None:
        forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)

    def let_come() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, forking.mask)

    def reset() -> None:
        signal.set_wakeup_fd(-1)
        for signum in ENDING_SIGNALS:
            signal.signal(signum, signal.SIG_DFL)
        let_come()

    os.register_at_fork(before=hold, after_in_parent=let_come, after_in_child=reset)
