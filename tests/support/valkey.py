"""A real Valkey of a test's own, as durable as the embedded one."""

import os
import subprocess
import sys
from pathlib import Path

import redis

from k8gentai.stack.local.services import free_port
from k8gentai.stack.local.valkey import server_command
from tests.support.processes import Process


class Valkey:
    """A Valkey server. It keeps its port and its data when it is started again.

    Args:
        directory: for its data and its log.
        options: more of its configuration, with ``_`` for ``-``.
    """

    def __init__(self, directory: Path, **options: str) -> None:
        self._directory = directory
        self._options = options
        self.port = free_port()
        self.bind = "127.0.0.1"
        self._process: Process | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = {
            "port": str(self.port),
            "bind": self.bind,
            "protected-mode": "no",
            "dir": str(self._directory),
            **{name.replace("_", "-"): value for name, value in self._options.items()},
        }
        self._process = Process("valkey", server_command(options), self._directory)
        self._process.wait_until(self._answers, "answering")

    def stop(self) -> None:
        if self._process is not None:
            self._process.stop()
            self._process = None

    def kill(self) -> None:
        """SIGKILL: what a crash or the kernel's memory killer does."""
        if self._process is not None:
            self._process.kill()
            self._process = None

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url)

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


def rq(url: str, *arguments: str, prefix: str = "") -> str:
    """Run RQ's own tool against a server. Returns what it printed.

    Args:
        url: of the server.
        arguments: of the tool.
        prefix: ``AMF_KEY_PREFIX``.

    Raises:
        subprocess.CalledProcessError
    """
    program = str(Path(sys.executable).with_name("rq"))
    command = [program, *arguments, "--url", url]
    environment = {**os.environ, "AMF_KEY_PREFIX": prefix}
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, env=environment).stdout
