"""Names of worker processes, by which Redis, logs and records of turns know them:
``{framework}-{host}-{process id}-{random}``."""

import os
import secrets
import socket


def new_name(framework: str) -> str:
    """Return a name for this process, which no process of the same id had before.

    Args:
        framework: the framework whose turns it runs.
    """
    return f"{local_prefix(framework)}{os.getpid()}-{secrets.token_hex(3)}"


def local_prefix(framework: str) -> str:
    """Return what the names of a framework's workers on this host begin with."""
    return f"{framework}-{socket.gethostname()}-"


def pid_in(name: str | bytes) -> int | None:
    """Return the process id in a worker's name, or in a key of Redis that ends with one.

    Returns:
        None where it is no name of ours: other programs' RQ may share the Redis.
    """
    text = name.decode(errors="replace") if isinstance(name, bytes) else name
    parts = text.rsplit("-", 2)
    return int(parts[1]) if len(parts) == 3 and parts[1].isdecimal() else None
