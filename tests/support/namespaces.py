"""A network of its own for a process, whose link to this machine can be cut without a reset."""

import itertools
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

_numbers = itertools.count(1)

needs_namespaces = pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")


class Namespace:
    """A network namespace, joined to this machine by a pair of virtual links."""

    def __init__(self, number: int) -> None:
        # Of several runs on one machine each has names and addresses of its own.
        run = os.getpid() % 250 + 1
        self.name = f"k8gentai-{run}-{number}"
        self._link = f"kg{run}x{number}"
        self.host = f"10.231.{run}.{4 * number + 1}"
        """This machine, as seen from inside."""
        self._inside = f"10.231.{run}.{4 * number + 2}"

    @property
    def prefix(self) -> list[str]:
        """What runs a command inside."""
        return ["ip", "netns", "exec", self.name]

    def make(self) -> None:
        peer = f"{self._link}p"
        _ip(f"netns add {self.name}")
        _ip(f"link add {self._link} type veth peer name {peer} netns {self.name}")
        _ip(f"addr add {self.host}/30 dev {self._link}")
        _ip(f"link set {self._link} up")
        for command in ("link set lo up", f"addr add {self._inside}/30 dev {peer}", f"link set {peer} up"):
            _ip(f"-n {self.name} {command}")

    def cut(self) -> None:
        """Let no packet through."""
        _ip(f"link set {self._link} down")

    def heal(self) -> None:
        _ip(f"link set {self._link} up")

    def remove(self) -> None:
        _ip(f"netns del {self.name}")


@contextmanager
def namespace() -> Iterator[Namespace]:
    """Make one, and remove it afterwards."""
    made = Namespace(next(_numbers))
    made.make()
    try:
        yield made
    finally:
        made.remove()


def _ip(arguments: str) -> None:
    done = subprocess.run(["ip", *arguments.split()], capture_output=True, text=True, timeout=30)
    if done.returncode:
        raise AssertionError(f"ip {arguments}: {done.stderr}")
