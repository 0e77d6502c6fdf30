"""What agents' code does to standard output and error ends no worker, and loses no line of its log."""

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import io, logging, os, sys
import structlog
from k8gentai.workers.process.worker_log import configure_logs, open_log
from k8gentai.workers.isolation.standard_streams import keep_streams_open

configure_logs(open_log())
keep_streams_open()
log = structlog.get_logger()
{deed}
log.warning("still_here")
logging.getLogger("asyncio").error("an error of the loop")
"""


def run(deed, **variables):
    program = [sys.executable, "-c", PROGRAM.format(deed=deed)]
    return subprocess.run(program, capture_output=True, text=True, timeout=60, env=os.environ | variables)


@pytest.mark.parametrize(
    "deed",
    [
        "sys.stdout.close(); sys.stderr.close()",
        "sys.stdout.buffer.close(); sys.stderr.buffer.close()",
        "sys.stdout.detach(); sys.stderr.detach()",
        "os.close(1); os.close(2)",
        "open(1, 'w').close(); open(2, 'w').close()",
        "sys.stderr = io.StringIO(); sys.stderr.close()",
        "sys.stdout = sys.stderr = None",
        "file = open(os.devnull, 'w'); os.dup2(file.fileno(), 2)",
    ],
)
def test_the_log_goes_on(deed):
    done = run(deed)
    # 120: Python could not write out what was left in a stream.
    assert done.returncode in (0, 120), done.stderr
    lines = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    assert [line["event"] for line in lines] == ["still_here"]


@pytest.mark.parametrize("unbuffered", ["1", ""])
@pytest.mark.parametrize(
    "deed",
    [
        "{0}.close()",
        "{0}.detach()",
        "{0}.detach().close()",
        "{0} = io.TextIOWrapper({0}.detach(), encoding='utf-8')",
        "{0}.buffer.close()",
        "with {0}.buffer: pass",
        "{0}.buffer.detach()",
        "{0}.buffer.raw.close()",
        "{0}.buffer.detach().close()",
        "io.TextIOWrapper({0}.buffer)",
    ],
)
def test_a_stream_that_was_closed_takes_what_others_print(deed, unbuffered):
    if unbuffered:
        # There is no buffer between.
        deed = deed.replace(".buffer.raw", ".buffer").replace(".buffer.detach()", ".buffer")
    deeds = "\n".join(deed.format(name) for name in ("sys.stdout", "sys.stderr"))
    back = "sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__"
    printing = "print('after'); print('too', file=sys.stderr)"
    done = run(f"print('before')\n{deeds}\n{printing}\n{back}\n{printing}", PYTHONUNBUFFERED=unbuffered)
    assert done.stdout == "before\nafter\nafter\n"
    assert done.stderr.count("too\n") == 2
    assert "Exception ignored" not in done.stderr
    assert done.returncode == 0


@pytest.mark.parametrize(
    "opened",
    [
        "open(1, 'w')",
        "open(1, 'wb', 0, None, None, None, True)",
        "os.fdopen(1, 'w')",
        "io.open(file=1, mode='w')",
        "io.FileIO(1, 'w')",
        "io.BufferedWriter(io.FileIO(file=2, mode='w', closefd=True))",
        "type('File', (io.FileIO,), {})(1, 'w')",
        "io.FileIO(type('Number', (), {'__index__': lambda _: 1})(), 'w')",
        "sys.stdin",
    ],
)
def test_no_connection_gets_the_number_of_a_standard_stream(opened):
    """What is printed would go into it."""
    done = run(f"{opened}.close(); print(min(os.pipe()) > 2)")
    assert done.stdout == "True\n"


def test_a_file_by_its_name_is_as_python_has_it(tmp_path):
    (tmp_path / "words").write_text("words")
    checks = (
        "with io.FileIO('words') as file: assert file.read() == b'words'",
        "assert file.closed and isinstance(file, io.FileIO) and isinstance(file, io.RawIOBase)",
        "raw = open('words', 'rb', 0); assert isinstance(raw, io.FileIO) and issubclass(type(raw), io.FileIO)",
        "class Mine(io.FileIO, io.RawIOBase): pass",
        "assert Mine('words').read() == b'words' and not isinstance(raw, Mine)",
        "number = os.open('words', 0); io.FileIO(number).close(); assert os.open('words', 0) == number",
    )
    done = run("\n".join((f"os.chdir({str(tmp_path)!r})", *checks)))
    assert done.returncode == 0, done.stderr


def test_open_is_no_method_of_a_class_that_has_it():
    assert run(f"class Files:\n    opened = open\nFiles().opened({os.devnull!r}).close()").returncode == 0


def test_a_log_that_cannot_be_written_ends_nothing():
    full = "os.dup2(os.open('/dev/full', os.O_WRONLY), structlog.get_config()['logger_factory']._file._descriptor)"
    assert run(full).returncode == 0


@pytest.mark.parametrize(("unbuffered", "printed"), [("1", "out\n"), ("", "")])
def test_unbuffered_streams_write_at_once(unbuffered, printed):
    """Nothing writes out the others where a process ends so."""
    done = run("print('out'); print('err', file=sys.stderr); os._exit(1)", PYTHONUNBUFFERED=unbuffered)
    assert (done.stdout, done.stderr) == (printed, "err\n")
