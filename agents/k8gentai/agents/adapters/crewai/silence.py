"""Switches off what CrewAI does beside running agents: telemetry, traces, questions, files at home.

Importing this imports CrewAI, so it comes before whatever else does.
"""

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

_SETTINGS = {
    "CREWAI_DISABLE_TELEMETRY": "true",
    "CREWAI_TRACING_ENABLED": "false",
    "CREWAI_DISABLE_VERSION_CHECK": "true",
    # Its databases, of memories and the like.
    "CREWAI_STORAGE_DIR": str(Path.cwd() / ".k8gentai" / "crewai"),
    # Chroma's.
    "ANONYMIZED_TELEMETRY": "false",
}
"""Read when CrewAI is imported. Who sets one of them has reasons."""


@contextlib.contextmanager
def _home(directory: str) -> Iterator[None]:
    """Another home directory for a while: CrewAI makes folders there when it is imported."""
    home = os.environ.get("HOME")
    os.environ["HOME"] = directory
    try:
        yield
    finally:
        if home is None:
            del os.environ["HOME"]
        else:
            os.environ["HOME"] = home


for _name, _value in _SETTINGS.items():
    os.environ.setdefault(_name, _value)
with _home(os.environ["CREWAI_STORAGE_DIR"]):
    import crewai  # noqa: F401

# It guesses the length of each prompt, and says so each time.
logging.getLogger("crewai.llms.base_llm").setLevel(logging.ERROR)
