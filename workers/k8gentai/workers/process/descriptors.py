"""Raises the number of files and connections that this process may have open: each client that waits holds one."""

import resource
from contextlib import suppress

_ENOUGH = (65_536, 10_240, 4_096)
"""Some programs close every descriptor there may be when they start, so it is not raised without end. macOS takes
what ``kern.maxfilesperproc`` allows, whatever the hard limit is: always ``OPEN_MAX``, which is 10,240 there."""


def raise_limit() -> None:
    """Raise the soft limit of descriptors as far as the process may. Shells, systemd and most images set 1,024,
    which is for processes that call ``select()``.

    A process that may not raise it starts with what it has.

    Source: https://0pointer.net/blog/file-descriptor-limits.html
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for enough in _ENOUGH:
        wanted = enough if hard == resource.RLIM_INFINITY else min(hard, enough)
        if soft == resource.RLIM_INFINITY or soft >= wanted:
            return
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            return
