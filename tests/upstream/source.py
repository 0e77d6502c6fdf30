"""Llama Stack's own tests, from its source distribution."""

import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from k8gentai.stack.environments.installed import ensure
from tests.support.processes import ROOT

LOCK = ROOT / "locks" / "upstream-source.txt"
HOME = ROOT / ".venvs" / "upstream-source"
ENVIRONMENT = "upstream"
_WANTED = frozenset({Path("tests"), Path("conftest.py"), Path("pyproject.toml")})


def python() -> Path:
    """The interpreter that runs them, in an environment of their own."""
    return ensure(ENVIRONMENT, print)


def source() -> Path:
    """Where they are: unpacked once, and again when the lock changed.

    Raises:
        subprocess.CalledProcessError: the package index has no such file.
    """
    stamp = HOME / "lock.txt"
    if not (stamp.is_file() and stamp.read_text() == LOCK.read_text()):
        shutil.rmtree(HOME, ignore_errors=True)
        with tempfile.TemporaryDirectory() as directory:
            archive = _download(Path(directory))
            with tarfile.open(archive) as packed:
                packed.extractall(HOME, _tests_of(packed), filter="data")
        shutil.copy(LOCK, stamp)
    return next(HOME.glob("llama_stack-*"))


def recordings(suite: str) -> Path:
    """Where the recordings of a suite are."""
    return source() / "tests" / "integration" / suite / "recordings"


def _tests_of(packed: tarfile.TarFile) -> list[tarfile.TarInfo]:
    return [member for member in packed if Path(*Path(member.name).parts[1:2]) in _WANTED]


def _download(directory: Path) -> Path:
    """pip, because uv downloads nothing without installing it. Its build tools are those of the environment."""
    options = [
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--no-binary",
        ":all:",
        "--no-build-isolation",
    ]
    wanted = ["--require-hashes", "--requirement", str(LOCK), "--dest", str(directory)]
    subprocess.run([str(python()), "-m", "pip", "download", *options, *wanted], check=True)
    (archive,) = directory.iterdir()
    return archive
