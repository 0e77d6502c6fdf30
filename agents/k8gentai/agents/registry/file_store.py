"""The registry in a file, for processes that share a file system."""

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from k8gentai.agents.registry.store import NoRegistryError, Stored

_CLAIM_SECONDS = 600
"""The seconds that one writer waits for another to end."""


class FileStore:
    """A JSON file. While its directory has none, nothing is kept.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._was_there = False

    @property
    def name(self) -> str:
        return str(self._path)

    @property
    def directory(self) -> Path:
        return self._path.parent

    def look(self, seen: object) -> Stored | None:
        try:
            status = self._path.stat()
            # The inode too: two replacements may fall into one tick of the file system's clock.
            version = (status.st_mtime_ns, status.st_size, status.st_ino)
            self._was_there = True
            # As it was before reading: a file replaced meanwhile is read again by the next look.
            return None if version == seen else Stored(version, self._path.read_bytes(), status.st_mtime)
        except FileNotFoundError as error:
            if self._was_there and not self._path.parent.exists():
                # A volume may be mounted again.
                raise
            self._was_there = False
            raise NoRegistryError(str(error)) from error

    def refresh(self) -> None:
        """Do nothing: each look is at the file itself."""

    @contextmanager
    def claim(self) -> Iterator[None]:
        """Keep other writers of the same file from reading and writing it meanwhile: the one that ends last would
        take away what the other registered.

        Raises:
            TimeoutError: another one goes on for long.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with (self._path.parent / f"{self._path.name}.lock").open("w") as claim:
            deadline = time.monotonic() + _CLAIM_SECONDS
            while True:
                try:
                    fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise TimeoutError(f"another check has gone on for {_CLAIM_SECONDS} s") from None
                    time.sleep(0.1)
            yield

    def write(self, content: str, over: object = None) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self._path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
