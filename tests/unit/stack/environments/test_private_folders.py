"""What people said to agents is for nobody else on the machine."""

import stat
from pathlib import Path

import pytest

from k8gentai.stack.environments.hosts import HOSTS
from k8gentai.stack.environments.private_folders import make_private
from k8gentai.stack.local.children import Children


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_folder_is_for_its_user_alone_be_it_there_or_not(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir(mode=0o755)
    for name in ("there", "new"):
        make_private(tmp_path / name)
        assert mode(tmp_path / name) == 0o700


async def test_so_are_logs_and_what_the_server_keeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Children(tmp_path / "logs"):
        assert mode(tmp_path / "logs") == 0o700
    monkeypatch.setenv("AMF_APIS_DIR", "apis.d")
    for host in HOSTS.values():
        monkeypatch.setenv("SQLITE_STORE_DIR", "")
        host.prepare(tmp_path)
        assert mode(tmp_path / host.data) == 0o700


def test_a_folder_that_somebody_names_is_theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMF_APIS_DIR", "apis.d")
    monkeypatch.setenv("SQLITE_STORE_DIR", str(tmp_path))
    tmp_path.chmod(0o750)
    next(iter(HOSTS.values())).prepare(tmp_path / "state")
    assert mode(tmp_path) == 0o750
