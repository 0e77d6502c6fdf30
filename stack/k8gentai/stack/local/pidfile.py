"""The notice that a running ``up`` leaves for the other commands of the same directory: where the stack is, and on
which model."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

_NAME = "up.json"
_KEPT = {"AMF_STACK_API_KEY"}
"""Credentials that agents' code, which is imported to check it, must not see."""
_OF_THE_PROCESS = (
    *("PYTHON", "VIRTUAL_ENV", "LD_", "DYLD_", "MALLOC_"),
    *("TERM", "COLORTERM", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TTY_"),
)
"""Variables that begin so say how a process runs and what shows its output, which is another here."""
_SET_IF_EMPTY = {"AMF_KEY_PREFIX"}
"""Variables whose empty value is one of its own: a stack without a prefix is named so."""
_CLOCK_SECONDS = 2
"""The seconds by which the start of a process may seem to be off."""


@dataclass(frozen=True)
class Notice:
    """A stack that is up."""

    pid: int
    """The process id of its ``up``."""
    stack_url: str
    model: str
    """The model's name in the stack."""
    frameworks: Sequence[str]
    """The frameworks whose agents are run."""
    has_one_model: bool = False
    """Whether its endpoint has that model alone, whatever is asked for, as the embedded one."""


def take_environment(notice: Notice) -> None:
    """Set the variables of the environment that its ``up`` was started with and that are not set here.

    What definitions and agents' code read from the environment is then read as there; what says how a process
    runs is not taken. Where the system does not show the variables, nothing is set.
    """
    with suppress(psutil.Error):
        for name, value in psutil.Process(notice.pid).environ().items():
            is_set = name in os.environ if name in _SET_IF_EMPTY else os.environ.get(name)
            if name not in _KEPT and not name.startswith(_OF_THE_PROCESS) and not is_set:
                os.environ[name] = value


def started_with(notice: Notice, name: str) -> str | None:
    """Return a variable of the environment that its ``up`` was started with; None where it was not set, or the
    system does not show it.
    """
    try:
        return psutil.Process(notice.pid).environ().get(name) or None
    except psutil.Error:
        return None


def workers_environment(notice: Notice) -> dict[str, str] | None:
    """Return the environment in which its workers import agents' code, but for what leads to models and Redis.
    None where the system does not show it.
    """
    try:
        theirs = psutil.Process(notice.pid).environ()
    except psutil.Error:
        return None
    kept = {name: value for name, value in theirs.items() if name not in _KEPT}
    return {**kept, "INFERENCE_MODEL": notice.model, "AMF_STACK_URL": notice.stack_url}


@contextmanager
def posted(state: Path, notice: Notice) -> Iterator[None]:
    """While inside, the notice can be read."""
    path = state / _NAME
    path.write_text(json.dumps(asdict(notice)))
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def read(state: Path) -> Notice | None:
    """Return the notice of a stack that is up; one that was killed left a notice that no longer counts."""
    try:
        path = state / _NAME
        notice = Notice(**json.loads(path.read_text()))
        # A process that began later has the number only.
        began = psutil.Process(notice.pid).create_time()
        return notice if began < path.stat().st_mtime + _CLOCK_SECONDS else None
    except (OSError, ValueError, TypeError, psutil.Error):
        return None
