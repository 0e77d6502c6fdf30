"""What a check of agents depended on: the files that their code is in or reads, and the packages installed.

A later check of the same agents need not be made while the fingerprint of each of these stays the same.
"""

import hashlib
import os
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from k8gentai.agents.loading import is_own_code

_CHANGED = "changed while it was checked"
"""Stands for the fingerprint of a file of which it is not known whether its old or its new content was read."""

_WRITING = os.O_WRONLY | os.O_RDWR


def fingerprint(path: str) -> str:
    """Return what changes when a file's content does, or the entries of a directory; empty if it is not there."""
    try:
        if Path(path).is_dir():
            return str(Path(path).stat().st_mtime_ns)
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return ""


def unchanged(fingerprints: Mapping[str, str]) -> bool:
    """Return whether all of these paths have the fingerprints that were taken of them."""
    return all(fingerprint(path) == taken for path, taken in fingerprints.items())


class ReadFiles:
    """Notes the files below the working directory that this process opens for reading, from its creation on."""

    def __init__(self) -> None:
        self._opened: set[str] = set()
        self._below = f"{Path.cwd()}/"
        sys.addaudithook(self._note)

    def fingerprints(self, since_ns: int) -> dict[str, str]:
        """Take the fingerprints of the modules of agents' own code that are imported, of the files that were read,
        and of the directories of installed packages.

        Args:
            since_ns: when the first was read, Unix time in ns. A file written later never counts as unchanged.
        """
        modules = [getattr(module, "__dict__", {}).get("__file__") for module in list(sys.modules.values())]
        files = {file for file in modules if file and is_own_code(file)} | self._opened
        taken = {file: _taken(file, since_ns) for file in sorted(files) if Path(file).is_file()}
        return taken | {path: fingerprint(path) for path in _packages()}

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open":
            return
        path, mode, flags = arguments
        if isinstance(path, str | os.PathLike) and not _writes(mode, flags):
            whole = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - as cheap as may be: it is called for each open
            if whole.startswith(self._below) and not whole.endswith(".pyc") and is_own_code(whole):
                self._opened.add(whole)


def _writes(mode: object, flags: object) -> bool:
    if isinstance(mode, str):
        return any(letter in mode for letter in "wax+")
    return isinstance(flags, int) and bool(flags & _WRITING)


def _taken(file: str, since_ns: int) -> str:
    return _CHANGED if Path(file).stat().st_mtime_ns > since_ns else fingerprint(file)


def _packages() -> set[str]:
    return {sysconfig.get_path(name) for name in ("purelib", "platlib")}
