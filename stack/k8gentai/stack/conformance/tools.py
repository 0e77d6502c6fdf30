"""The work of the tools of every framework's agents. Each framework wraps these as its documentation does."""

import time
from pathlib import Path
from typing import Any

from k8gentai.agents.contract.idempotency import idempotency_key

PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
"""An image."""


def add(a: float, b: float) -> float:
    """Add two numbers."""
    return a + b


def multiply(a: float, b: float) -> float:
    """Multiply two numbers."""
    return a * b


def fail(reason: str) -> str:
    """Fail for a reason."""
    raise LookupError(f"it failed: {reason}")


def write(path: str, line: str) -> str:
    """Add a line to a file."""
    with Path(path).open("a") as file:
        file.write(f"{line} {idempotency_key()}\n")
    return f"wrote {line}"


def linger(path: str, line: str) -> str:
    """Add a line to a file, and come back only when a file beside it is there."""
    write(path, line)
    while not Path(path).with_suffix(".go").exists():
        time.sleep(0.02)
    return f"wrote {line}"


def picture() -> list[dict[str, Any]]:
    """Look at a picture."""
    return [{"type": "text", "text": "Seen."}, {"type": "image_url", "image_url": {"url": PIXEL}}]
