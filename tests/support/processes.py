"""Starts the real parts for a test, waits until each is ready, and stops it by its process id."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAUSE_SECONDS = 0.05


@cache
def reaper() -> subprocess.Popen[str]:
    """The one of this test run: see :mod:`tests.support.reaper`."""
    command = [sys.executable, "-m", "tests.support.reaper"]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, text=True, bufsize=1, start_new_session=True)


class Process:
    """One process, in a process group of its own, whose output goes to a file.

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
        self.log = directory / f"{name}.log"
        self._output = self.log.open("ab")
        self.began_at = self.log.stat().st_size
        self._process = subprocess.Popen(
            command,
            cwd=working,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.name = name
        self._tell_reaper("+")

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()

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

    def terminate(self) -> None:
        """SIGTERM, without waiting."""
        if self.exit_code is None:
            self._process.terminate()

    def wait(self, seconds: float) -> int:
        """Wait for its end.

        Raises:
            subprocess.TimeoutExpired
        """
        return self._process.wait(seconds)

    def stop(self, seconds: float = 10) -> None:
        """SIGTERM, and SIGKILL to its whole group if that is not enough."""
        self.terminate()
        try:
            self.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
        else:
            self._gone()

    def kill(self) -> None:
        """SIGKILL, to it and what it started."""
        if self.exit_code is None:
            os.killpg(self.pid, signal.SIGKILL)
            self.wait(10)
        self._gone()

    def _gone(self) -> None:
        self._tell_reaper("-")
        self._output.close()

    def _tell_reaper(self, sign: str) -> None:
        told = reaper().stdin
        assert told
        told.write(f"{sign}{self.pid}\n")


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
