"""Directories for what people said to agents, and for logs: other users of the machine have no business there."""

import os
import stat
from pathlib import Path

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def make_private(directory: Path) -> None:
    """Make a directory, where it is not there, that nobody but this user may enter. One of this user's that is
    there becomes such a one.

    Raises:
        OSError: it cannot be made.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=stat.S_IRWXU)
    found = directory.stat()
    if found.st_uid == os.getuid() and found.st_mode & _OTHERS:
        directory.chmod(stat.S_IRWXU)
