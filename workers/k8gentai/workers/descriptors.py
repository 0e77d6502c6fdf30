"""How many files and connections this process may have open: each client that waits holds one."""

import resource

_ENOUGH = 65_536
"""Some programs close every descriptor there may be when they start, so it is not raised without end."""


def raise_limit() -> None:
    """Raise the soft limit of descriptors as far as the process may. Shells, systemd and most images set 1,024,
    which is for processes that call ``select()``.

    Source: https://0pointer.net/blog/file-descriptor-limits.html
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
