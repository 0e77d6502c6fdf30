"""A clean copy of the repository, or another directory, and what a person does in it."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OURS = (
    *("OPENAI_", "OLLAMA_", "INFERENCE_", "EMBEDDING_", "REDIS_", "AMF_", "SQLITE_", "LLAMA_"),
    *("PYTHON", "VIRTUAL_ENV"),
)
"""Variables a machine without anything set up does not have."""
START_SECONDS = 600
"""The first start installs four environments."""


class Place:
    """A directory, on a machine without anything set up.

    Args:
        path: the directory. All that is started here runs out of it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            command,
            cwd=self.path,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
        )

    def processes(self) -> list[str]:
        """The command lines of what runs out of here."""
        listed = subprocess.run(["ps", "-e", "-o", "pid=,args="], capture_output=True, text=True, check=True)
        return [line for line in listed.stdout.splitlines() if f"{self.path}/" in line]

    def wait_for_no_processes(self, seconds: float) -> list[str]:
        """Wait until nothing runs out of here. Returns what still does after that time."""
        deadline = time.monotonic() + seconds
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.1)
        return left


class Checkout(Place):
    """A clone of what is committed.

    Args:
        path: where it is made.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(path)], check=True)

    @contextmanager
    def serving(self, port: int) -> Iterator[subprocess.Popen[str]]:
        """Run ``up`` until it says that it serves; it is ended with the context, if it has not ended before."""
        with subprocess.Popen(
            ["./scripts/up", "--port", str(port)],
            cwd=self.path,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as up:
            try:
                said = []
                for line in up.stdout or ():
                    said.append(line)
                    if line.startswith("Serving at"):
                        break
                else:
                    raise AssertionError("up ended before it served:\n" + "".join(said))
                yield up
            finally:
                up.terminate()
