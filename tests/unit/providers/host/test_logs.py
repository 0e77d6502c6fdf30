"""The server's log, where a program reads it and where a person does."""

import json
import logging

import pytest
from rich.console import Console
from rich.logging import RichHandler

from k8gentai.providers.host.server_log import tame_host_logs

TURN = "resp_01a1ffb33ced79f184c42e9d3df7251e"


@pytest.fixture
def host_log(capsys):
    """A logger set up as the host sets up its own: tables of 60 columns, tracebacks with all that is in them."""
    logger = logging.getLogger("k8gentai.tests.logs")
    console = Console(stderr=True, width=60)
    handler = RichHandler(console=console, rich_tracebacks=True, tracebacks_show_locals=True)
    logger.addHandler(handler)
    yield logger
    for found in tuple(logger.handlers):
        logger.removeHandler(found)


def fail(logger: logging.Logger) -> None:
    secret = "in a variable"
    try:
        raise RuntimeError(len(secret))
    except RuntimeError:
        logger.exception("no answer for %s", TURN)


def test_a_program_reads_one_whole_object_a_line(host_log, capsys):
    tame_host_logs()
    host_log.warning("a long way into the line stands the turn: %s", TURN)
    fail(host_log)
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert first["event"].endswith(TURN)
    assert (first["level"], first["logger"]) == ("warning", "k8gentai.tests.logs")
    assert "RuntimeError: 13" in second["exception"]


def test_a_person_is_shown_no_variables(host_log, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    tame_host_logs()
    fail(host_log)
    said = " ".join(capsys.readouterr().err.split())
    assert "RuntimeError: 13" in said
    assert "in a variable" not in said
