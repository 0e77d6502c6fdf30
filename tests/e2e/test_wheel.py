"""The wheel is the product: installed anywhere, it needs no clone."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from k8gentai.stack.local.services import free_port
from tests.e2e.checkout import ROOT, Place

UV = str(ROOT / ".venvs" / "uv" / "bin" / "uv")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("wheel")
    constraints = ("--build-constraints", str(ROOT / "locks" / "build.txt"))
    subprocess.run(
        [UV, "build", "--quiet", "--wheel", *constraints, "--out-dir", str(built), str(ROOT)], check=True
    )
    return next(built.glob("*.whl"))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """An empty directory, in which caches are that hold nothing of k8gentai yet."""
    made = Place(tmp_path)
    # Packages need not be fetched again for that.
    packages = subprocess.run([UV, "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()
    made.environment |= {"XDG_CACHE_HOME": str(tmp_path / "cache"), "UV_CACHE_DIR": packages}
    yield made
    assert made.wait_for_no_processes(20) == []


def test_it_answers_in_an_empty_directory(place: Place, wheel: Path) -> None:
    venv = place.path / "venv"
    assert place.run(UV, "venv", "--quiet", "--python", sys.executable, str(venv)).returncode == 0
    constraints = ("--constraints", str(ROOT / "locks" / "server.txt"))
    assert (
        place.run(UV, "pip", "install", "--quiet", "--python", str(venv), *constraints, str(wheel)).returncode == 0
    )
    program = str(venv / "bin" / "k8gentai")
    done = place.run(program, "up", "--once", "--port", str(free_port()))
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'multiply({"a": 17, "b": 23})' in done.stdout
    assert done.stdout.rstrip().endswith("391.")
    assert (place.path / "examples" / "agents").is_dir()
    listed = place.run(program, "agents", "list")
    assert "langgraph-math" in listed.stdout
    checked = place.run(program, "conformance", "langgraph", "--only", "tool")
    assert checked.returncode == 0, checked.stdout + checked.stderr
