"""How ``up`` ends where nobody reads what it prints: its terminal was closed, or a pipe's reader ended."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from k8gentai.stack.local.running import INTERRUPTED
from tests.unit.stack.local.test_children import runs, wait_for

UP = """
import asyncio, os, sys
from pathlib import Path

here = Path(sys.argv[1])
for terminal in sys.argv[2:]:
    # The first terminal that the leader of a session opens is the session's, and its end a SIGHUP.
    opened = os.open(terminal, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(opened, descriptor)

from k8gentai.stack.local import running
from k8gentai.stack.local.children import Children
from k8gentai.stack.terminal.console import err, out, progress

async def up(plan, settings, console):
    async with Children(here) as children:
        pids = []
        for name in ("server", "worker"):
            await children.start(name, ["sleep", "600"], os.environ, essential=name == "server")
            pids.append(children.pid(name))
        with progress(console, "Serving"):
            Path(here, "new").write_text(" ".join(map(str, pids)))
            Path(here, "new").rename(here / "pids")
            if os.environ.get("FAILS"):
                while os.isatty(1):
                    await asyncio.sleep(0.01)
                os.kill(pids[0], 9)
            await children.failed()

running.up = up
raise SystemExit(running.run_up(None, out, err))
"""


@contextmanager
def started(
    here: Path, *arguments: str, out: int | IO[bytes], through: tuple[str, ...] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    """Run an ``up`` of two children, by another command or by itself, which runs as soon as this is entered."""
    command = [*through, sys.executable, "-c", UP, str(here), *arguments]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)
    try:
        wait_for(here / "pids")
        yield process
    finally:
        process.kill()
        process.wait()


def assert_ends(process: subprocess.Popen[bytes], here: Path) -> None:
    """Assert that it ends as on Ctrl-C, and its children with it."""
    pids = [int(pid) for pid in (here / "pids").read_text().split()]
    assert process.wait(60) == INTERRUPTED
    assert not any(runs(pid) for pid in pids)


def test_the_end_of_its_terminal_ends_it(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    name = os.ttyname(theirs)
    with started(tmp_path, name, out=subprocess.DEVNULL) as process:
        os.close(theirs)
        os.close(ours)
        assert_ends(process, tmp_path)


@pytest.mark.parametrize("signum", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_without_its_terminal(tmp_path: Path, signum: signal.Signals) -> None:
    ours, theirs = pty.openpty()
    with started(tmp_path, out=theirs) as process:
        os.close(theirs)
        os.close(ours)
        process.send_signal(signum)
        assert_ends(process, tmp_path)


@pytest.mark.parametrize("signum", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_without_a_reader(tmp_path: Path, signum: signal.Signals) -> None:
    reading, writing = os.pipe()
    with started(tmp_path, out=writing) as process:
        os.close(writing)
        os.close(reading)
        process.send_signal(signum)
        assert_ends(process, tmp_path)


def test_it_outlives_its_terminal_under_nohup(tmp_path: Path) -> None:
    with started(tmp_path, out=subprocess.DEVNULL, through=("nohup",)) as process:
        pids = [process.pid, *(int(pid) for pid in (tmp_path / "pids").read_text().split())]
        for pid in pids:
            status = Path(f"/proc/{pid}/status").read_text()
            (ignored,) = [line.split()[1] for line in status.splitlines() if line.startswith("SigIgn")]
            assert int(ignored, 16) & 1 << signal.SIGHUP - 1
        process.terminate()
        assert_ends(process, tmp_path)


def test_the_end_of_a_part_ends_it_without_its_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAILS", "1")
    ours, theirs = pty.openpty()
    with started(tmp_path, out=theirs) as process:
        os.close(theirs)
        os.close(ours)
        assert process.wait(60) == 1


def test_what_can_be_read_says_how_it_ends(tmp_path: Path) -> None:
    with (tmp_path / "said").open("wb") as said, started(tmp_path, out=said) as process:
        process.send_signal(signal.SIGTERM)
        assert_ends(process, tmp_path)
    words = (tmp_path / "said").read_text().split("\n", 2)
    assert words[1].startswith("Stopping: turns that run have 30 s to end.")
    assert words[2] == "Stopped.\n"
