"""What starts the real parts for a test ends them, and all that they had started."""

import sys
from pathlib import Path

import psutil
import pytest

from tests.support.processes import Process

PARENT = """
import signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
child.wait()
"""


def started(directory: Path) -> tuple[Process, psutil.Process]:
    """A process that SIGTERM does not end, and its child."""
    process = Process("parent", [sys.executable, "-c", PARENT], directory)
    process.wait_until(lambda: process.output().endswith("\n"), "a parent")
    return process, psutil.Process(int(process.output()))


def test_a_kill_takes_along_what_was_started(tmp_path: Path) -> None:
    process, child = started(tmp_path)
    process.kill()
    assert process.exit_code == -9
    psutil.wait_procs([child], 30)
    assert not child.is_running()


def test_what_does_not_stop_in_time_is_killed(tmp_path: Path) -> None:
    process, child = started(tmp_path)
    process.stop(0.01)
    assert process.exit_code == -9
    psutil.wait_procs([child], 30)
    assert not child.is_running()


def test_a_second_start_shows_its_own_words_alone(tmp_path: Path) -> None:
    for word in ("one", "two"):
        process = Process("speaker", [sys.executable, "-c", f"print('{word}')"], tmp_path)
        assert process.wait(60) == 0
        process.stop()
        assert process.output() == f"{word}\n"
    assert (tmp_path / "speaker.log").read_text() == "one\ntwo\n"


def test_one_that_does_not_answer_ends_with_its_last_words(tmp_path: Path) -> None:
    process = Process("speaker", [sys.executable, "-c", "raise SystemExit('no room')"], tmp_path)
    with pytest.raises(AssertionError, match=r"'speaker' ended with exit code 1(.|\n)*no room"):
        process.answers("http://127.0.0.1:1/")
    process.stop()
