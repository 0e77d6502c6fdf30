"""Starts real parts for a test as ``k8gentai up`` starts its own, waits until each is ready, and stops them."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from k8gentai.stack.local.children import STOP_SECONDS, ChildError, Children
from k8gentai.stack.local.services import answers

ROOT = Path(__file__).resolve().parents[2]
PAUSE_SECONDS = 0.05


class Process:
    """One process, whose output goes to a file. It is the only child of a launcher of the product's, for those
    that do not await: its end leaves nothing that it had started; the end of a test run, however it came, none.

    Args:
        name: names the log file.
        command: program and arguments.
        directory: where the log file goes.
        environment: what is set beside this process's own environment.
        working: the directory it works in.
    """

    def __init__(
        self,
        name: str,
        command: list[str],
        directory: Path,
        environment: Mapping[str, str] | None = None,
        working: Path = ROOT,
    ) -> None:
        self.name = name
        self._children = Children(directory)
        self.log = self._children.log(name)
        self.began_at = self.log.stat().st_size if self.log.exists() else 0
        _wait(self._start(command, {**os.environ, **(environment or {})}, working))

    async def _start(self, command: list[str], environment: Mapping[str, str], working: Path) -> None:
        await self._children.__aenter__()
        try:
            await self._children.start(self.name, command, environment, directory=working, append=True)
        except BaseException:
            await self._children.kill()
            raise

    @property
    def pid(self) -> int:
        return self._children.pid(self.name)

    @property
    def exit_code(self) -> int | None:
        return None if self._children.runs(self.name) else _wait(self._children.ended(self.name))

    def output(self) -> str:
        """What it has printed since it was started."""
        return self.log.read_bytes()[self.began_at :].decode(errors="replace")

    def wait_until(self, ready: Callable[[], bool], what: str, seconds: float = 300) -> None:
        """Look until it is ready.

        Raises:
            AssertionError: it ended, or was not ready in time; with its last output.
        """
        until = time.monotonic() + seconds
        while not ready():
            if self.exit_code is not None:
                raise AssertionError(f"{self.name} ended with {self.exit_code}:\n{self.output()[-3000:]}")
            if time.monotonic() > until:
                raise AssertionError(f"{self.name}: not {what} in {seconds} s:\n{self.output()[-3000:]}")
            time.sleep(PAUSE_SECONDS)

    def answers(self, url: str) -> None:
        """Wait until it answers there.

        Raises:
            AssertionError: it ended, or did not answer in time; with its last output.
        """
        try:
            _wait(answers(self._children, self.name, url))
        except ChildError as error:
            raise AssertionError(f"{error}\n{self.output()[-3000:]}") from error

    def terminate(self) -> None:
        """SIGTERM, without waiting."""
        _wait(self._terminate())

    def wait(self, seconds: float) -> int:
        """Wait for its end. Returns its exit code.

        Raises:
            TimeoutError
        """
        return _wait(asyncio.wait_for(self._children.ended(self.name), seconds))

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """SIGTERM, and SIGKILL to it and what it started if that is not enough in time."""
        _wait(self._stop(seconds))

    def kill(self) -> None:
        """SIGKILL, to it and what it started."""
        _wait(self._children.kill())

    async def _terminate(self) -> None:
        self._children.send(self.name, signal.SIGTERM)

    async def _stop(self, seconds: float) -> None:
        await self._children.end(self.name, seconds)
        await self._children.kill()


def wait_for(look: Callable[[], bool], seconds: float = 120) -> None:
    """Look until it is so.

    Raises:
        AssertionError: it was not in time.
    """
    until = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < until, f"not in {seconds} s"
        time.sleep(PAUSE_SECONDS)


def run_python(
    *arguments: str, environment: Mapping[str, str], seconds: float = 300, python: str | Path = sys.executable
) -> subprocess.CompletedProcess[str]:
    """Run ``python …`` from the repository's root to its end."""
    return subprocess.run(
        [str(python), *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def _wait[T](work: Coroutine[Any, Any, T]) -> T:
    """Have the launcher's event loop do some work. Returns what comes of it."""
    return asyncio.run_coroutine_threadsafe(work, _loop()).result()


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """The event loop that watches over all processes of this test run, in a thread of its own."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="launcher", daemon=True).start()
    return loop
