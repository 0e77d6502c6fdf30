"""What a running ``up`` tells the other commands of the same directory: where the stack is, and on which model."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

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
