"""What benches share that compare the stack with the same code run without it, on the same scripted model."""

import json
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench.stack import ROOT
from bench.turns import Figures


class Direct:
    """A process that runs turns without the stack (:func:`bench.turns.serve`).

    Args:
        module: what it runs.
        model_url: the scripted model.
        log: where what it prints goes.
        python: its interpreter.
        settings: what is set in its environment beside the model.
    """

    def __init__(
        self,
        module: str,
        model_url: str,
        log: Path,
        python: str | Path = sys.executable,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        environment = {
            **os.environ,
            **(settings or {}),
            "OPENAI_BASE_URL": model_url,
            "OPENAI_API_KEY": "none",
            "LANGSMITH_TRACING": "false",
        }
        self._log = log
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                [str(python), "-m", module],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def turns(self, agent: str, clients: int, each: int) -> Figures:
        """Run turns, so many at once.

        Raises:
            AssertionError: the process ended; with its last output.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{agent} {clients} {each}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, self._log.read_text(errors="replace")[-3000:]
        figures: Figures = json.loads(line)
        return figures

    def close(self) -> None:
        """End it."""
        self._process.communicate(timeout=20)


def alternate(sides: Sequence[Callable[[], Figures]], rounds: int) -> list[list[Figures]]:
    """Rounds of each side's turns, in alternation, after one of each to warm up.

    Returns:
        The figures of each side.
    """
    figures: list[list[Figures]] = [[] for _ in sides]
    for number in range(rounds + 1):
        found = [side() for side in sides]
        if number:
            for kept, one in zip(figures, found, strict=True):
                kept.append(one)
    return figures


def turns_a_second(rounds: list[Figures]) -> float:
    """The median of the rounds of one side."""
    return float(statistics.median(len(one["turns"]) / one["seconds"] for one in rounds))


def peak_bytes(pid: int) -> int:
    """The most memory that a process has had at a time, in bytes: Linux's ``VmHWM`` (proc(5))."""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024
