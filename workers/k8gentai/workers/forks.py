"""Keeps children that agents' code forks, as by ``multiprocessing``, from outliving their worker."""

import os
import threading
from contextlib import suppress


def end_forks_with_worker() -> None:
    """Have every forked child end when this process does, however that is. To be called once.

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
