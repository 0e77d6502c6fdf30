"""The Python environments: one a framework, because no two frameworks install together.

Each is made in ``.venvs/<name>`` from its own hashed lock, ``locks/<name>.txt``, and made again only when
the lock changed. ``scripts/env`` runs this module before anything is installed, so it needs the standard
library alone.
"""

import argparse
import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[4]
"""The repository. There are no locks in it where k8gentai was installed from a wheel."""

PYTHON = "3.12"

HOMES: dict[str, tuple[str, str]] = {
    "crewai": ("crewai", "crewai"),
    "langgraph": ("langgraph", "langgraph"),
    "llama-stack": ("server", "llama_stack"),
    "ag2": ("ag2", "ag2"),
    "beeai": ("beeai", "beeai_framework"),
    "model": ("model", "xllamacpp"),
    "ogx": ("ogx", "ogx"),
}
"""What runs where: framework (or host, or the embedded model) -> its environment, and the module that shows that
an interpreter already has it."""

Say = Callable[[str], None]


class SetUpError(Exception):
    """Something k8gentai needs cannot be had. The message is one line for a person."""


def interpreter_for(home: str, say: Say) -> Path:
    """Return the Python that runs a framework of :data:`HOMES`; its environment is made first where needed.

    This interpreter is kept where it has the framework itself: in a container, and in ``.venvs/dev``.

    Raises:
        SetUpError: if the framework is not known, or its environment cannot be made.
    """
    if home not in HOMES:
        raise SetUpError(f"No environment is known for '{home}'. Known are: {', '.join(sorted(HOMES))}.")
    name, module = HOMES[home]
    if importlib.util.find_spec(module) is not None:
        return Path(sys.executable)
    return ensure(name, say)


def is_made(home: str) -> bool:
    """Return whether what runs a framework of :data:`HOMES` is here, be it behind its lock."""
    name, module = HOMES[home]
    return importlib.util.find_spec(module) is not None or (ROOT / ".venvs" / name / "bin" / "python").exists()


def ensure(name: str, say: Say) -> Path:
    """Make ``.venvs/<name>``, or bring it to its lock; two processes may ask at once.

    Args:
        name: a file of ``locks/``.
        say: is told what takes a while.

    Returns:
        The environment's Python.

    Raises:
        SetUpError: if it cannot be made.
    """
    lock = ROOT / "locks" / f"{name}.txt"
    if not lock.is_file():
        raise SetUpError(f"The environment '{name}' cannot be made: there is no {lock}.")
    home = ROOT / ".venvs" / name
    python = home / "bin" / "python"
    stamp = home / "lock.sha256"
    try:
        home.parent.mkdir(exist_ok=True)
        with (home.parent / f"{name}.lock").open("w") as claim:
            fcntl.flock(claim, fcntl.LOCK_EX)
            digest = _digest(lock)
            if not (stamp.is_file() and stamp.read_text() == digest and python.exists()):
                _make(name, home, lock, say)
                stamp.write_text(digest)
    except OSError as error:
        raise SetUpError(f"The environment '{name}' cannot be made: {error}") from error
    return python


def replace_process(python: Path, arguments: Sequence[str]) -> NoReturn:
    """Go on as the ``k8gentai`` command of another environment, in this process."""
    os.execv(python, [str(python), "-m", "k8gentai.stack.commands.cli", *arguments])  # noqa: S606 - no shell is meant


def _make(name: str, home: Path, lock: Path, say: Say) -> None:
    count = sum("==" in line for line in lock.read_text().splitlines())
    say(f"Installing the environment '{name}': {count} packages")
    began = time.monotonic()
    python = str(home / "bin" / "python")
    _uv(name, "venv", "--clear", "--no-project", "--python", PYTHON, str(home))
    _uv(name, "pip", "sync", "--require-hashes", "--python", python, str(lock))
    build = str(ROOT / "locks" / "build.txt")
    _uv(
        name,
        "pip",
        "install",
        "--no-deps",
        "--python",
        python,
        "--build-constraints",
        build,
        "--editable",
        str(ROOT),
    )
    say(f"Installed '{name}' in {time.monotonic() - began:.0f} s")


def _uv(name: str, *arguments: str) -> None:
    uv = ROOT / ".venvs" / "uv" / "bin" / "uv"
    program = str(uv) if uv.exists() else shutil.which("uv")
    if program is None:
        raise SetUpError("uv is not installed yet: run scripts/up once.")
    environ = {**os.environ, "UV_PYTHON_DOWNLOADS": "never"}
    done = subprocess.run(  # noqa: S603 - a fixed program, arguments of our own
        [program, "--quiet", *arguments], cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        if "No space left on device" in done.stderr:
            raise SetUpError(f"The disk is full: the environment '{name}' cannot be made in {ROOT / '.venvs'}.")
        reason = " ".join(done.stderr.split()) or f"uv ended with {done.returncode}"
        raise SetUpError(f"The environment '{name}' cannot be made: {reason}")


def _digest(lock: Path) -> str:
    """Return what an environment depends on: its lock, how this package is built, and where it lies (the paths in
    an environment are absolute)."""
    parts = [lock, ROOT / "locks" / "build.txt", ROOT / "pyproject.toml"]
    content = b"\0".join([str(ROOT).encode(), *(part.read_bytes() for part in parts)])
    return hashlib.sha256(content).hexdigest()


def _main() -> int:
    parser = argparse.ArgumentParser(description="Make environments from their locks.")
    parser.add_argument("name", nargs="+", help="a file of locks/, without .txt")

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)  # noqa: T201 - rich may not be installed yet

    try:
        for name in parser.parse_args().name:
            ensure(name, say)
    except SetUpError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(_main())
