"""The Python environments: one a framework, because no two frameworks install together.

Each is made in ``.venvs/<name>`` of a clone, or in a user's cache where k8gentai was installed from a wheel, from
its own hashed lock, ``locks/<name>.txt``, and made again only when the lock changed. ``scripts/env`` runs this
module before anything is installed, so it needs the standard library alone.
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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from k8gentai.stack.environments.product import PRODUCT, SetUpError

__all__ = [
    "HOMES",
    "PRODUCT",
    "PYTHON",
    "Say",
    "SetUpError",
    "ensure",
    "go_on_in",
    "interpreter_for",
    "is_made",
    "replace_process",
]

PYTHON = "3.12"
"""The Python that the locks are tried with."""

HOMES: dict[str, tuple[str, str]] = {
    "crewai": ("crewai", "crewai"),
    "langgraph": ("langgraph", "langgraph"),
    "llama-stack": ("server", "llama_stack"),
    "ag2": ("ag2", "ag2"),
    "beeai": ("beeai", "beeai_framework"),
    "model": ("model", "xllamacpp"),
    "ogx": ("ogx", "ogx"),
}
"""The environment of each framework (and host, and the embedded model), and the module that shows that an
interpreter already has it."""

Say = Callable[[str], None]


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


def go_on_in(home: str, say: Say, *more: str) -> None:
    """Go on in this process as the same command of the environment that runs something of :data:`HOMES`, which is
    made first where needed; return where this interpreter runs it.

    Args:
        home: the framework, host or model to run.
        say: called with what takes a while.
        more: further arguments of the command.

    Raises:
        SetUpError: if it cannot be made.
    """
    if (python := interpreter_for(home, say)) != Path(sys.executable):
        replace_process(python, [*sys.argv[1:], *more])


def is_made(home: str) -> bool:
    """Return whether what runs a framework of :data:`HOMES` is here, be it behind its lock."""
    name, module = HOMES[home]
    return importlib.util.find_spec(module) is not None or _python_of(name).exists()


def ensure(name: str, say: Say) -> Path:
    """Make the environment of that name, or bring it to its lock; two processes may ask at once.

    Args:
        name: a file of ``locks/``.
        say: called with what takes a while.

    Returns:
        The environment's Python.

    Raises:
        SetUpError: if it cannot be made.
    """
    lock = PRODUCT.data / "locks" / f"{name}.txt"
    if not lock.is_file():
        raise SetUpError(f"The environment '{name}' cannot be made: there is no {lock}.")
    python = _python_of(name)
    home = python.parents[1]
    stamp = home / "lock.sha256"
    try:
        with _claimed(name):
            digest = hashlib.sha256(lock.read_bytes() + b"\0" + PRODUCT.identity()).hexdigest()
            if not (stamp.is_file() and stamp.read_text() == digest and python.exists()):
                _make(name, home, lock, say)
                stamp.write_text(digest)
    except OSError as error:
        raise SetUpError(f"The environment '{name}' cannot be made: {error}") from error
    return python


def replace_process(python: Path, arguments: Sequence[str]) -> NoReturn:
    """Go on as the ``k8gentai`` command of another environment, in this process."""
    os.execv(python, [str(python), "-m", "k8gentai.stack.commands.cli", *arguments])  # noqa: S606 - no shell is meant


def _python_of(name: str) -> Path:
    return PRODUCT.environments / name / "bin" / "python"


@contextmanager
def _claimed(name: str) -> Iterator[None]:
    """Hold what is made under a name in the directory of environments against other processes."""
    PRODUCT.environments.mkdir(parents=True, exist_ok=True)
    with (PRODUCT.environments / f"{name}.lock").open("w") as claim:
        fcntl.flock(claim, fcntl.LOCK_EX)
        yield


def _make(name: str, home: Path, lock: Path, say: Say) -> None:
    program = _uv_program(say)

    def uv(*arguments: str) -> None:
        _run(f"the environment '{name}'", [program, "--quiet", *arguments])

    count = sum("==" in line for line in lock.read_text().splitlines())
    say(f"Installing the environment '{name}': {count} packages")
    began = time.monotonic()
    # Found by its path, uv need not know where Pythons are on this machine.
    base = sys.executable if f"{sys.version_info.major}.{sys.version_info.minor}" == PYTHON else PYTHON
    uv("venv", "--clear", "--no-project", "--python", base, str(home))
    uv("pip", "sync", "--require-hashes", "--python", str(home / "bin" / "python"), str(lock))
    PRODUCT.put_into(home, uv)
    say(f"Installed '{name}' in {time.monotonic() - began:.0f} s")


def _uv_program(say: Say) -> str:
    """Return the uv that is here: ours, one beside this interpreter, or one in the path; ours is fetched where
    there is none.

    Raises:
        SetUpError: it cannot be fetched.
    """
    home = PRODUCT.environments / "uv"
    ours = home / "bin" / "uv"
    for program in (ours, Path(sys.executable).with_name("uv")):
        if program.exists():
            return str(program)
    if found := shutil.which("uv"):
        return found
    with _claimed("uv"):
        if not ours.exists():
            say("Fetching uv")
            _fetch_uv(home)
    return str(ours)


def _fetch_uv(home: Path) -> None:
    """Install uv from its lock as ``scripts/env`` does, with the pip of this interpreter, or of another where it
    has none."""
    # Another interpreter's pip puts there what runs without an interpreter.
    pythons = [sys.executable, *filter(None, [shutil.which("python3")])]
    python = next((python for python in pythons if _has_pip(python)), None)
    if python is None:
        raise SetUpError("There is neither uv nor pip here: install one of them and try again.")
    lock = PRODUCT.data / "locks" / "uv.txt"
    options = ("--no-deps", "--only-binary", ":all:", "--require-hashes", "--disable-pip-version-check")
    _run("uv", [python, "-m", "pip", "install", "-qq", "--target", str(home), *options, "-r", str(lock)])
    shutil.copyfile(lock, home / "lock.txt")


def _has_pip(python: str) -> bool:
    command = [python, "-c", "import pip"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0  # noqa: S603 - arguments of ours


def _run(what: str, command: Sequence[str]) -> None:
    """Run an installer in the directory of environments, in which no project's settings are.

    Args:
        what: the thing that is made.
        command: the command line that makes it.

    Raises:
        SetUpError: it failed.
    """
    place = PRODUCT.environments
    environ = {**os.environ, "UV_PYTHON_DOWNLOADS": "never"}
    done = subprocess.run(  # noqa: S603 - a fixed program, arguments of our own
        command, cwd=place, env=environ, capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return
    if "No space left on device" in done.stderr:
        raise SetUpError(f"The disk is full: {what} cannot be made in {place}.")
    reason = " ".join(done.stderr.split()) or f"{Path(command[0]).name} ended with {done.returncode}"
    raise SetUpError(f"{what[0].upper()}{what[1:]} cannot be made: {reason}")


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
