"""What a running ``up`` tells the other commands of the same directory: where the stack is, and on which model."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

_NAME = "up.json"


@dataclass(frozen=True)
class Notice:
    """A stack that is up."""

    pid: int
    """The process id of its ``up``."""
    stack_url: str
    model: str
    """As the stack names it."""
    frameworks: Sequence[str]
    """Whose agents are run."""


def take_environment(notice: Notice) -> None:
    """Set the variables of the environment that its ``up`` was started with and that are not set here.

    What is read from the environment is then read as there. Where the system does not show them, nothing is set.
    """
    with suppress(psutil.Error):
        for name, value in psutil.Process(notice.pid).environ().items():
            if not os.environ.get(name):
                os.environ[name] = value


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
    """The notice of a stack that is up; one that was killed left a notice that no longer counts."""
    try:
        notice = Notice(**json.loads((state / _NAME).read_text()))
        os.kill(notice.pid, 0)
    except (OSError, ValueError, TypeError):
        return None
    return notice
