"""Puts back the settings that all turns of a process share and agents' code can change, while no attempt runs."""

import asyncio
import gc
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _Setting:
    """One setting: its name, how it is read, and how it is set."""

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], object]


def _attribute(owner: object, name: str) -> _Setting:
    label = f"{getattr(owner, '__name__', owner)}.{name}"
    return _Setting(label, lambda: getattr(owner, name), lambda value: setattr(owner, name, value))


def _working_directory() -> str | None:
    try:
        return str(Path.cwd())
    except OSError:  # It was removed.
        return None


def _file(number: int) -> _Setting:
    """Return the setting of which file an open descriptor is of."""
    kept = os.dup(number)

    def read() -> tuple[int, int] | None:
        try:
            status = os.fstat(number)
        except OSError:  # It was closed.
            return None
        return status.st_dev, status.st_ino

    return _Setting(f"file {number}", read, lambda _: os.dup2(kept, number))


def _standard_files() -> Iterator[_Setting]:
    for number in (1, 2):
        with suppress(OSError):  # Who started the process closed it.
            yield _file(number)


_SETTINGS = (
    _Setting("working directory", _working_directory, os.chdir),
    _Setting("recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
    _Setting("garbage collection", gc.isenabled, lambda on: gc.enable() if on else gc.disable()),
    _Setting("event loop policy", asyncio.get_event_loop_policy, asyncio.set_event_loop_policy),
    _attribute(threading, "excepthook"),
    _attribute(sys, "excepthook"),
    _attribute(sys, "stdout"),
    _attribute(sys, "stderr"),
)


class ProcessSettings:
    """The settings as they are when this is made."""

    def __init__(self) -> None:
        self._kept = [(setting, setting.read()) for setting in (*_SETTINGS, *_standard_files())]
        self._running = 0

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Run an attempt inside. The first to begin finds the settings as they were; the last leaves them so.

        Attempts that run at the same time share what any of them changes, such as a tool's working directory or
        standard output: put back under a running tool, it would have that tool write elsewhere.
        """
        self._restore_unless_running()
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1
            self._restore_unless_running()

    def _restore_unless_running(self) -> None:
        if not self._running:
            self.restore()

    def restore(self) -> None:
        """Set what was changed meanwhile as it was."""
        for setting, value in self._kept:
            if setting.read() != value:
                try:
                    setting.write(value)
                except Exception as error:  # noqa: BLE001 - such as a directory that is gone, or a deep stack
                    log.warning("setting_not_restored", setting=setting.name, error=repr(error))
                else:
                    log.warning("setting_restored", setting=setting.name, advice="agents share their process")
