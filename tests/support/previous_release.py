"""The release before this one, run beside it: its code from the history, in this release's environment."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.processes import ROOT

COMMIT = "27180fc9801971b2736db4a0ff36f538ba2a9bf2"
"""The last commit before records had a version."""
_FLOORS = ("agents", "workers", "providers", "stack")
_WORKER = """
import sys
from pathlib import Path
from k8gentai.workers.process.worker import main
framework, redis_url, stack_url, registry = sys.argv[1:]
sys.exit(main(framework, redis_url=redis_url, stack_url=stack_url, registry=Path(registry)))
"""


def is_there() -> bool:
    """Return whether the history has it: that of a shallow clone, or of no clone, has not."""
    asked = ["git", "-C", str(ROOT), "cat-file", "-e", f"{COMMIT}^{{commit}}"]
    try:
        return subprocess.run(asked, capture_output=True, check=False, timeout=60).returncode == 0
    except FileNotFoundError:
        return False


def unpack(directory: Path) -> None:
    """Put its code into a directory.

    Raises:
        subprocess.CalledProcessError: git or tar failed.
    """
    archive = ["git", "-C", str(ROOT), "archive", COMMIT, *_FLOORS]
    packed = subprocess.run(archive, capture_output=True, check=True, timeout=120).stdout
    subprocess.run(["tar", "-x", "-C", str(directory)], input=packed, check=True, timeout=120)


def python_path(directory: Path, present: str) -> str:
    """Return a ``PYTHONPATH`` on which its code comes before this release's.

    Args:
        directory: where it is.
        present: what else is on it.
    """
    return os.pathsep.join([*(str(directory / floor) for floor in _FLOORS), present])


def worker_command(framework: str, redis_url: str, stack_url: str, registry: Path) -> list[str]:
    """Return what starts a worker of it. Its own command would make it an environment of its own."""
    return [sys.executable, "-c", _WORKER, framework, redis_url, stack_url, str(registry)]
