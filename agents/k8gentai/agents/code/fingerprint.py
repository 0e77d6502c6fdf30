"""Takes fingerprints of all that a check of agents depends on: the files that their code is in or reads, and the
packages installed.

A later check of the same agents need not be made while the fingerprint of each of these stays the same.
"""

import functools
import hashlib
import inspect
import json
import os
import stat
import sys
import sysconfig
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from k8gentai.agents.code.code_files import files_of
from k8gentai.agents.code.loading import is_own_code
from k8gentai.agents.resources.agent import AgentDefinition

CHANGED = "changed while it was checked "
"""Begins the fingerprint of a file of which it is not known whether its old or its new content was read, as of one
that its reader writes. That of its content after the check follows."""

_SETTLED_NS = 2_000_000_000
"""The age that the last change of a file must have for its time to tell the next one: clocks of disks are
coarse."""

_WRITING = os.O_WRONLY | os.O_RDWR


def fingerprint(path: str) -> str:
    """Return what changes when a file's content does, or the entries of a directory; empty if it is not there."""
    try:
        status = Path(path).stat()
        if stat.S_ISDIR(status.st_mode):
            return str(status.st_mtime_ns)
        if time.time_ns() - status.st_ctime_ns < _SETTLED_NS:
            return _content_hash(path)
        version = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        return _hash_of_version(path, version)
    except OSError:
        return ""


@functools.lru_cache(maxsize=10_000)
def _hash_of_version(path: str, _version: tuple[int, ...]) -> str:
    return _content_hash(path)


def _content_hash(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unchanged(fingerprints: Mapping[str, str]) -> bool:
    """Return whether all of these paths have the fingerprints that were taken of them."""
    return all(fingerprint(path) == taken for path, taken in fingerprints.items())


def digest(definition: AgentDefinition, files: Mapping[str, str]) -> str:
    """Return what changes when an agent's definition does, or one of the files that its code is in or read.

    Args:
        definition: the definition as it was read.
        files: the files with their fingerprints. It is the same below whichever working directory they are.
    """
    known = {path: CHANGED if taken.startswith(CHANGED) else taken for path, taken in files.items()}
    named = {path.removeprefix(_below()): taken for path, taken in known.items()}
    content = json.dumps([definition.model_dump(mode="json", by_alias=True), named], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


class ReadFiles:
    """Notes the files below the working directory that this process opens for reading, from its creation on; those
    in hidden directories aside.

    Args:
        since_ns: when the first may have been read, Unix time in ns. A file written later never counts as
            unchanged.
    """

    def __init__(self, since_ns: int) -> None:
        self._since_ns = since_ns
        self._opened: dict[str, str] = {}
        """Each with the file of the agents' module whose import read it; empty where none was being imported."""
        self._common: set[str] = set()
        """The files of all agents."""
        self._known: set[str] = set()
        """The files that earlier agents brought."""
        self._code: set[str] = set()
        """The files that agents' code is in, be they not imported yet."""
        self._below = _below()
        sys.addaudithook(self._note)

    def take_for_all(self) -> None:
        """Count what was imported and read so far among the files of each agent: it is their adapter's."""
        self._common = self._known = self._files()

    def of_agent(self, definition: AgentDefinition) -> dict[str, str]:
        """Take the fingerprints of the files that the code of the agent and of its MCP servers is in, or that its
        modules read when they were imported; and of those that nobody had opened before the agent was loaded,
        which is to have been just now.
        """
        code = files_of(definition)
        read = {file for file, reader in self._opened.items() if reader in code}
        now = self._files()
        taken = self._taken(self._common | code | read | (now - self._known))
        self._known = now
        self._code |= code
        return taken

    def fingerprints(self) -> dict[str, str]:
        """Take the fingerprints of all files that agents' code is in, of those that were read, and of the
        directories of installed packages.
        """
        return self._taken(self._files() | self._code) | {path: fingerprint(path) for path in _packages()}

    def _files(self) -> set[str]:
        modules = [getattr(module, "__dict__", {}).get("__file__") for module in list(sys.modules.values())]
        return {file for file in modules if file and is_own_code(file)} | self._opened.keys()

    def _taken(self, files: set[str]) -> dict[str, str]:
        there = sorted(file for file in files if Path(file).is_file())
        return {file: f"{CHANGED if self._is_late(file) else ''}{fingerprint(file)}" for file in there}

    def _is_late(self, file: str) -> bool:
        # A time that is still to come says nothing: it is from another clock.
        return self._since_ns < Path(file).stat().st_mtime_ns <= time.time_ns()

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open":
            return
        path, mode, flags = arguments
        if isinstance(path, str | os.PathLike) and not _writes(mode, flags):
            whole = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - as cheap as may be: it is called for each open
            if self._is_own(whole):
                self._opened.setdefault(whole, _being_imported())

    def _is_own(self, file: str) -> bool:
        """Return whether a file is the agents', and in no hidden directory, where programs keep their state."""
        directory = file[len(self._below) - 1 : file.rindex("/") + 1]
        own = file.startswith(self._below) and "/." not in directory
        return own and not file.endswith(".pyc") and is_own_code(file)


def _being_imported() -> str:
    """Return the file of the innermost module of agents' code whose import is under way; empty where none is."""
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code.co_name == "<module>" and is_own_code(frame.f_code.co_filename):
            return frame.f_code.co_filename
        frame = frame.f_back
    return ""


def _writes(mode: object, flags: object) -> bool:
    if isinstance(mode, str):
        return any(letter in mode for letter in "wax+")
    return isinstance(flags, int) and bool(flags & _WRITING)


def _below() -> str:
    """Return what the paths of all files below the working directory begin with."""
    return f"{Path.cwd()}/"


def _packages() -> set[str]:
    return {sysconfig.get_path(name) for name in ("purelib", "platlib")}
