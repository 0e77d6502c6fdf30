"""What a worker leaves says how it ended."""

import os
import select
import subprocess
import sys
import time

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from k8gentai.workers.process import witness
from k8gentai.workers.process.witness import death_of

WORKER = """
import ctypes, faulthandler, os, signal, sys
from k8gentai.workers.process import last_words

class Pipe:
    stdin = sys.stdout.buffer

last_words.subprocess.Popen = lambda *_, **__: Pipe
words = last_words.LastWords("redis://", "langgraph", "w", lambda: "resp_1")
words.alive()

def crash():
    {deed}

crash()
"""


def left_by(deed, tmp_path):
    """What a process that does something leaves to its witness, less whose it is."""
    program = tmp_path / "crash.py"
    program.write_text(WORKER.format(deed=deed))
    done = subprocess.run([sys.executable, str(program)], capture_output=True, timeout=60)
    whose, _, rest = done.stdout.decode().partition("\n")
    assert '"worker": "w"' in whose
    return rest


def death_by(deed, tmp_path):
    """What a witness makes of a process that does something: a death."""
    death = death_of(left_by(deed, tmp_path))
    assert death is not None
    return death


@pytest.mark.parametrize(
    ("deed", "cause", "turn"),
    [
        ("os._exit(7)", "ended itself with exit code 7 at {file}:13", "resp_1"),
        ("ctypes.string_at(0)", "ended with signal 11 (SIGSEGV) at {file}:13", ""),
        (
            "import faulthandler; faulthandler.enable(); ctypes.string_at(0)",
            "ended with signal 11 (SIGSEGV) at {file}:13",
            "",
        ),
        ("os.abort()", "ended with signal 6 (SIGABRT) at {file}:13", ""),
        ("words.raised(ValueError('no'))", "ended with ValueError: no", ""),
    ],
)
def test_a_process_says_how_it_ends(tmp_path, deed, cause, turn):
    death = death_by(deed, tmp_path)
    assert (death.cause, death.turn) == (cause.format(file=tmp_path / "crash.py"), turn)
    assert death.own is not deed.startswith("words")
    assert death.ours is deed.startswith("words")


def test_one_that_is_killed_says_nothing(tmp_path):
    death = death_by("os.kill(os.getpid(), signal.SIGKILL)", tmp_path)
    assert death.cause.startswith("was killed")
    assert not death.own


def test_it_says_what_step_of_its_start_it_takes(tmp_path):
    notes = left_by("words.starting('the import of agent shop')", tmp_path).encode()
    assert witness._not_started(notes).startswith("was killed, as the import of agent shop did not")


@pytest.mark.parametrize(
    ("deed", "cause"),
    [
        ("words.ended(); os._exit(0)", None),
        ("words.raised(ValueError('no')); os._exit(1)", "ended with ValueError: no"),
        ("words.end(ValueError('no'))", "ended with ValueError: no"),
    ],
)
def test_a_timer_that_ends_it_for_certain_is_no_agents_exit(tmp_path, deed, cause):
    death = death_of(left_by(deed, tmp_path))
    assert (death and death.cause) == cause
    assert death is None or (death.ours and not death.own)


@pytest.mark.parametrize(("end", "told"), [("os.kill(os.getpid(), 9)", True), ("os.abort()", False)])
def test_one_that_is_killed_when_it_was_told_to_stop_is_told_apart(tmp_path, end, told):
    death = death_by(f"words.stopping(); {end}", tmp_path)
    assert (death.told, death.own) == (told, not told)


def test_an_end_in_order_is_no_death(tmp_path):
    assert death_of(left_by("words.ended()", tmp_path)) is None


def test_an_end_in_order_with_turns_that_could_not_be_given_back_is_noted(tmp_path):
    """Its leases run out, as those of a crashed worker do."""
    death = death_by("words.stopping(); words.ended(kept=True)", tmp_path)
    assert (death.told, death.own, death.ours) == (True, False, False)
    assert "ended while Redis was away" in death.cause


@pytest.mark.parametrize(("url", "seconds"), [("unix:///tmp/redis.sock", 10), ("redis://far:6379", 120)])
def test_the_end_is_noted_once_a_redis_that_was_away_is_back(monkeypatch, url, seconds):
    """That of ``up`` does not come back: the witness ends with the rest."""
    tries, now = [], 0

    def bury(*_):
        tries.append(now)
        raise RedisConnectionError

    def sleep(for_seconds):
        nonlocal now
        now += for_seconds

    monkeypatch.setattr("k8gentai.workers.queue.attempts.Leases.bury", bury)
    monkeypatch.setattr(witness, "_let_go_of_streams", lambda: None)
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(time, "sleep", sleep)
    witness._note({"redis_url": url, "pool": "langgraph", "worker": "w"}, witness._silenced("was killed"))
    assert round(tries[-1]) == seconds


def test_children_that_crash_are_not_the_worker(tmp_path):
    fork = "pid = os.fork(); pid or ctypes.string_at(0); os.waitpid(pid, 0); words.ended()"
    assert death_of(left_by(fork, tmp_path)) is None


def test_a_child_that_leaves_is_not_the_worker(tmp_path):
    fork = "pid = os.fork(); pid or os._exit(3); os.waitpid(pid, 0); os.kill(os.getpid(), signal.SIGKILL)"
    assert death_by(fork, tmp_path).cause.startswith("was killed")


class Worker(witness._Worker):
    """A worker's process, as a test has it be."""

    lives = True
    stopped = False
    killed = False

    def __init__(self):
        self.ends: list[int] = []

    def kill(self):
        self.killed = True


WHOSE = b'{"worker": "w1"}\n'
AGENT = b'{"starting": "the import of agent shop"}\n'
SILENCE = None
"""A quarter of a minute without a word."""
START = [SILENCE] * 40


@pytest.mark.parametrize(
    ("reads", "killed"),
    [
        ([WHOSE, *START], ""),
        ([WHOSE, *START, SILENCE], "was killed, as its start did not come to an end within 600 s"),
        ([WHOSE, *START, AGENT, *START], ""),
        (
            [WHOSE, *START, AGENT, *START, SILENCE],
            "was killed, as the import of agent shop did not come to an end within 600 s",
        ),
        ([WHOSE + AGENT + witness.ALIVE, *[SILENCE] * 4], ""),
        (
            [WHOSE + AGENT + witness.ALIVE, *[SILENCE] * 5],
            "held the interpreter for 60 s, so that nothing else ran in it, and was killed",
        ),
        ([WHOSE + witness.ALIVE, *[SILENCE] * 4, witness.ALIVE, *[SILENCE] * 4], ""),
    ],
)
def test_a_silent_worker_is_killed(monkeypatch, capsys, reads, killed):
    """An import may take minutes, and no more; once it has run a worker is never silent for one."""
    left, now = [*reads, b""], 0.0
    worker = Worker()

    def wait(files, *_):
        nonlocal now
        if left[0] is not SILENCE:
            return files, [], []
        del left[0]
        now += witness.SILENT_SECONDS / 4
        return [], [], []

    monkeypatch.setattr(select, "select", wait)
    monkeypatch.setattr(os, "read", lambda *_: left.pop(0))
    monkeypatch.setattr(time, "monotonic", lambda: now)
    notes, cause = witness._read(0, worker)
    assert notes.startswith(WHOSE)
    assert cause == killed
    assert worker.killed == bool(killed)
    assert killed in capsys.readouterr().err


@pytest.mark.parametrize("has_pidfd", [True, False])
def test_a_child_that_holds_the_pipe_keeps_no_end_from_being_noted(monkeypatch, has_pidfd):
    """Forked in C, it does not know that it should close it."""
    here, there = os.pipe()
    os.write(there, WHOSE)
    worker = Worker()
    with subprocess.Popen(["true"]) as process:
        worker.ends = [os.pidfd_open(process.pid)] if has_pidfd else []
    worker.lives = False
    monkeypatch.setattr(witness, "SILENT_SECONDS", 0.04)
    assert witness._read(here, worker) == (WHOSE, "")
    for file in (here, there, *worker.ends):
        os.close(file)


def test_a_process_that_has_the_id_of_the_dead_worker_is_not_killed(monkeypatch):
    """The worker is the parent of its witness, and nobody else ever is."""
    monkeypatch.setattr(os, "kill", lambda *sent: pytest.fail(f"killed {sent}"))
    worker = witness._Worker(os.getpid())
    assert not worker.lives
    worker.kill()
    for file in worker.ends:
        os.close(file)
