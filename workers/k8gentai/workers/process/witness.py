"""Sees how a worker's process ends, and notes it in Redis: a process that crashes has no time to.

``python -m k8gentai.workers.process.witness PID``: a child of the worker, which holds the other end of its
standard input. The first line there says whose witness it is; then come the worker's notes, and what its fault
handler writes. The end of the input is the end of the worker, but where a child that it forked past Python
holds the input open. Nothing large is imported before that.
"""

import json
import os
import re
import select
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from k8gentai.workers.queue.attempts import Death

ALIVE = b".\n"
"""The line that a worker writes while any of its threads gets to run."""
SILENT_SECONDS = 60.0
"""After this long without that the worker is killed: something holds its interpreter, and nothing else runs."""
STARTING_SECONDS = 600.0
"""The seconds that a worker may take for each step of its start, before the first sign of life: it imports a
framework and agents, for minutes on a slow machine."""
_HELD = f"held the interpreter for {SILENT_SECONDS:.0f} s, so that nothing else ran in it, and was killed"
_REDIS_SECONDS = 120.0
"""The seconds for which a note of the end is tried in a Redis that is away. Without a note the turn that ran is to
blame, unless Redis itself was started anew."""
_OWN_REDIS_SECONDS = 10.0
"""The seconds for the same in a Redis behind a unix socket: it is away if ``up`` has ended, and all of it is to
end then."""
_SIGNALS = {
    "Segmentation fault": signal.SIGSEGV,
    "Aborted": signal.SIGABRT,
    "Bus error": signal.SIGBUS,
    "Floating-point exception": signal.SIGFPE,
    "Floating point exception": signal.SIGFPE,
    "Illegal instruction": signal.SIGILL,
}
_FATAL = re.compile(r"^Fatal Python error: (.+)$", re.MULTILINE)
_CURRENT = re.compile(r"^(?:Current thread|Stack) .*\n((?:  .*\n?)*)", re.MULTILINE)
_FRAME = re.compile(r'^  File "(.+)", line (\d+)', re.MULTILINE)


_ENDS = {"ended", "raised", "exit"}
"""The words that a worker says as it ends. The first counts: its own timers end it for certain after that."""


class _Worker:
    """The worker's process. Its id names it for as long as it is the parent of this one, and nobody else.

    Args:
        pid: the process's id.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.ends = _end_of(pid)
        """A file that can be read once it has ended; none where the system has no such."""

    @property
    def lives(self) -> bool:
        """Whether it has not ended."""
        return os.getppid() == self._pid

    @property
    def stopped(self) -> bool:
        """Whether it was stopped by a signal or a debugger: it is not for us to end it."""
        import psutil

        try:
            return psutil.Process(self._pid).status() in (psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP)
        except psutil.Error:
            return True

    def kill(self) -> None:
        """Kill it."""
        if self.lives:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)


def _end_of(pid: int) -> list[int]:
    if not hasattr(os, "pidfd_open"):
        return []
    try:
        return [os.pidfd_open(pid)]
    except OSError:  # It has ended already, or the kernel is an old one.
        return []


def main() -> None:
    """Wait for the end of the worker, and note it unless that was in order."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    notes, killed = _read(sys.stdin.fileno(), _Worker(int(sys.argv[1])))
    first, _, rest = notes.partition(b"\n")
    if not first:
        return
    whose = json.loads(first)
    if death := _silenced(killed) if killed else death_of(rest.decode(errors="replace")):
        _note(whose, death)


def death_of(notes: str) -> "Death | None":
    """Return how a worker ended.

    Args:
        notes: the notes that it left.

    Returns:
        None where it ended in order.
    """
    from k8gentai.workers.queue.attempts import Death

    said: list[dict[str, Any]] = [json.loads(line) for line in notes.splitlines() if line.startswith("{")]
    end = next((words for words in said if _ENDS & words.keys()), {})
    if "ended" in end:
        kept = "was told to stop, and ended while Redis was away, before it could give its turns back"
        return Death(cause=kept, told=True) if end.get("kept") else None
    if "raised" in end:
        # What agents' code raises is contained: this is the worker's.
        return Death(cause=f"ended with {end['raised']}", ours=True)
    if "exit" in end:
        place = _at(end["place"])
        return Death(cause=f"ended itself with exit code {end['exit']}{place}", own=True, turn=end["turn"])
    if fatal := _FATAL.search(notes):
        return Death(cause=f"ended with {_signal(fatal[1])}{_at(_place(notes))}", own=True)
    if any("stopping" in words for words in said):
        return Death(cause="was told to stop, and killed before its turns had ended", told=True)
    return Death(cause="was killed (from outside, or by the kernel as memory ran out)")


def _silenced(cause: str) -> "Death":
    from k8gentai.workers.queue.attempts import Death

    return Death(cause=cause, own=True)


def _read(stdin: int, worker: _Worker) -> tuple[bytes, str]:
    """Read to the end of the worker. Returns its notes, and why it had to be killed, "" where it had not."""
    notes, killed = b"", ""
    heard, limit = time.monotonic(), STARTING_SECONDS
    while True:
        ready, _, _ = select.select([stdin, *worker.ends], [], [], SILENT_SECONDS / 4)
        if stdin in ready:
            if not (read := os.read(stdin, 65_536)):
                return notes, killed
            notes += read.replace(ALIVE, b"")
            heard = time.monotonic()
            if ALIVE in read:
                limit = SILENT_SECONDS
        elif ready or not worker.lives:
            return notes, killed
        elif time.monotonic() - heard > limit and not killed and not worker.stopped:
            killed = _HELD if limit == SILENT_SECONDS else _not_started(notes)
            # To the worker's log, which says nothing else of this.
            sys.stderr.write(f"The worker's process {killed}.\n")
            worker.kill()


def _not_started(notes: bytes) -> str:
    lines = (json.loads(line) for line in reversed(notes.splitlines()) if line.startswith(b"{"))
    step = next((line["starting"] for line in lines if "starting" in line), "its start")
    return f"was killed, as {step} did not come to an end within {STARTING_SECONDS:.0f} s"


def _note(whose: dict[str, Any], death: "Death") -> None:
    import redis

    from k8gentai.workers.queue.attempts import Leases
    from k8gentai.workers.queue.connection import connect_blocking

    url = whose["redis_url"]
    leases = Leases(connect_blocking(url), whose["pool"], lease_seconds=0)
    seconds = _OWN_REDIS_SECONDS if url.startswith("unix:") else _REDIS_SECONDS
    _patiently(lambda: leases.bury(whose["worker"], death), redis.RedisError, seconds)


def _patiently(work: Callable[[], None], away: type[Exception], seconds: float) -> None:
    """Try for so long. Where Redis stays away, the worker's leases run out all the same."""
    from k8gentai.workers.queue.connection import pauses

    until = time.monotonic() + seconds
    for pause in pauses():
        try:
            work()
        except away:
            if time.monotonic() + pause > until:
                return
            _let_go_of_streams()
            time.sleep(pause)
        else:
            return


def _let_go_of_streams() -> None:
    """Close the worker's output: whoever reads it to its end waits for the worker, and not for this process."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is not None:
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _signal(fatal: str) -> str:
    signum = _SIGNALS.get(fatal)
    return f"signal {signum.value} ({signum.name})" if signum else f"a fatal error of Python ({fatal})"


def _place(dump: str) -> str:
    """Return the innermost line of the agent's own code in the fault handler's dump."""
    from k8gentai.agents.code.loading import is_own_code

    current = _CURRENT.search(dump)
    frames = _FRAME.findall(current[1]) if current else []
    return next((f"{file}:{line}" for file, line in frames if is_own_code(file)), "")


def _at(place: str) -> str:
    return f" at {place}" if place else ""


if __name__ == "__main__":
    main()
