"""The environments: made from their lock once, and again when it changed."""

import sys
from pathlib import Path

import pytest

from k8gentai.stack.environments import installed as environments
from k8gentai.stack.environments.installed import SetUpError, ensure, interpreter_for
from k8gentai.stack.environments.product import Clone

FAKE_UV = """#!/bin/sh
echo "$*" >>calls
case "$*" in
*" venv "*) for last; do :; done; mkdir -p "$last/bin"; : >"$last/bin/python" ;;
esac
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one lock, and a uv that only writes down what it is asked."""
    monkeypatch.setattr(environments, "PRODUCT", Clone(tmp_path))
    for name, content in {
        "locks/some.txt": "a==1\nb==2\n",
        "locks/build.txt": "hatchling==1\n",
        "pyproject.toml": "",
        ".venvs/uv/bin/uv": FAKE_UV,
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (tmp_path / ".venvs/uv/bin/uv").chmod(0o755)
    return tmp_path


def calls(root: Path) -> list[str]:
    return (root / ".venvs/calls").read_text().splitlines()


def test_it_is_made_once_and_again_when_its_lock_changed(root: Path) -> None:
    said: list[str] = []
    python = ensure("some", said.append)
    assert python == root / ".venvs/some/bin/python"
    assert said[0] == "Installing the environment 'some': 2 packages"
    assert any("pip sync --require-hashes" in call for call in calls(root))
    made = len(calls(root))

    ensure("some", said.append)
    assert len(calls(root)) == made

    (root / "locks/some.txt").write_text("a==2\n")
    ensure("some", said.append)
    assert len(calls(root)) == 2 * made


@pytest.mark.parametrize(
    ("complaint", "message"),
    [
        ("error: No space left on device (os error 28)", "The disk is full"),
        ("error: no such\npackage", "cannot be made: error: no such package"),
    ],
)
def test_what_uv_says_is_told_in_one_line_and_tried_again(root: Path, complaint: str, message: str) -> None:
    uv = root / ".venvs/uv/bin/uv"
    uv.write_text(f"#!/bin/sh\necho '{complaint}' >&2\nexit 2\n")
    with pytest.raises(SetUpError, match=message) as raised:
        ensure("some", lambda _: None)
    assert "\n" not in str(raised.value)

    uv.write_text(FAKE_UV)
    assert ensure("some", lambda _: None).exists()


def test_an_unknown_lock_and_an_unknown_framework_are_named(root: Path) -> None:
    with pytest.raises(SetUpError, match=r"there is no .*locks/other\.txt"):
        ensure("other", lambda _: None)
    with pytest.raises(SetUpError, match=r"Known are: .*langgraph, llama-stack, model"):
        interpreter_for("other", lambda _: None)


def test_an_interpreter_that_has_the_framework_is_kept(root: Path) -> None:
    assert interpreter_for("langgraph", lambda _: None) == Path(sys.executable)
    assert not (root / ".venvs/calls").exists()
