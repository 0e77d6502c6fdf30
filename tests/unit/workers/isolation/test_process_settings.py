"""What agents' code changes of the process is put back for the next turn."""

import asyncio
import gc
import io
import os
import sys
import threading
from pathlib import Path

import pytest

from k8gentai.workers.isolation.process_settings import ProcessSettings


@pytest.fixture
def settings(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    made = ProcessSettings()
    yield made
    made.restore()


def read():
    return (
        Path.cwd(),
        gc.isenabled(),
        sys.getrecursionlimit(),
        threading.excepthook,
        sys.excepthook,
        sys.stdout,
        sys.stderr,
        asyncio.get_event_loop_policy(),
    )


def test_what_was_changed_is_as_it_was(settings, monkeypatch):
    before = read()
    os.chdir("/")
    os.environ["OWN"] = "kept"
    gc.disable()
    sys.setrecursionlimit(5_000)
    threading.excepthook = lambda _: None
    sys.excepthook = lambda *_: None
    sys.stdout = sys.stderr = None
    asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy())
    settings.restore()
    assert read() == before
    # What is the agents' own affair stays.
    assert os.environ.pop("OWN") == "kept"


def test_a_standard_file_that_was_closed_is_open_again(capfd):
    made = ProcessSettings()
    open(1, "w").close()
    made.restore()
    os.write(1, b"here")
    assert capfd.readouterr().out == "here"


def test_what_cannot_be_restored_keeps_nothing_else_from_it(settings, tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    made = ProcessSettings()
    os.chdir("/")
    gone.rmdir()
    gc.disable()
    made.restore()
    assert gc.isenabled()


def test_nothing_is_put_back_under_an_attempt_that_runs(settings):
    before = read()
    with settings.attempt():
        os.chdir("/")
        sys.stdout = other = io.StringIO()
        with settings.attempt():
            assert (Path.cwd(), sys.stdout) == (Path("/"), other)
        assert (Path.cwd(), sys.stdout) == (Path("/"), other)
    assert read() == before


def test_the_first_attempt_finds_what_code_left_behind_changed_as_it_was(settings):
    before = read()
    os.chdir("/")
    with settings.attempt():
        assert read() == before
