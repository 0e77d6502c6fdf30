"""A PostgreSQL server of a test's own."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from k8gentai.stack.local.services import free_port

_USER = "nobody" if os.geteuid() == 0 else None
"""PostgreSQL does not run as root."""


def _program(name: str) -> Path | None:
    """Return a program of PostgreSQL's, which distributions keep out of the path."""
    found = [*Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), *Path("/opt/homebrew/bin").glob(name)]
    return Path(path) if (path := shutil.which(name)) else next(iter(found), None)


needs_postgres = pytest.mark.skipif(_program("initdb") is None, reason="no PostgreSQL is installed")


@contextmanager
def postgres() -> Iterator[str]:
    """Run a server; its URL for SQLAlchemy."""
    with tempfile.TemporaryDirectory() as directory:
        if _USER:
            shutil.chown(directory, _USER)
        data, port = Path(directory) / "data", free_port()
        _run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync")
        options = f"-p {port} -k {directory} -c listen_addresses=127.0.0.1 -c fsync=off"
        _run("pg_ctl", "-D", data, "-w", "-l", data / "log", "-o", options, "start")
        try:
            yield f"postgresql+asyncpg://postgres@127.0.0.1:{port}/postgres"
        finally:
            _run("pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")


def _run(name: str, *arguments: str | Path) -> None:
    program = _program(name)
    assert program
    # Not a pipe: the server would keep it open.
    subprocess.run([program, *arguments], check=True, user=_USER, cwd="/", stdout=subprocess.DEVNULL)
