"""The embedded Redis: what it was given outlives kill -9, and only its user reaches it."""

import os
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from k8gentai.stack.environments.installed import SetUpError
from k8gentai.stack.local import valkey


@contextmanager
def running(directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    claimed = valkey.claim(directory)
    server = subprocess.Popen(valkey.command(directory), stdout=subprocess.DEVNULL, pass_fds=[claimed])
    os.close(claimed)
    try:
        valkey.wait_until_ready(valkey.redis_url(directory), 10, lambda: server.poll() is None)
        yield server
    finally:
        server.kill()
        server.wait()


def test_data_outlives_kill_9(tmp_path: Path) -> None:
    with running(tmp_path) as server, redis.Redis.from_url(valkey.redis_url(tmp_path)) as client:
        client.set("kept", "yes")
        server.kill()
        server.wait()
    with running(tmp_path), redis.Redis.from_url(valkey.redis_url(tmp_path)) as client:
        assert client.get("kept") == b"yes"


def test_only_this_user_reaches_it(tmp_path: Path) -> None:
    with running(tmp_path), redis.Redis.from_url(valkey.redis_url(tmp_path)) as client:
        assert stat.S_IMODE(valkey.socket_path(tmp_path).stat().st_mode) == 0o700
        assert client.config_get("port") == {"port": "0"}
        assert client.config_get("appendonly") == {"appendonly": "yes"}


def test_a_directory_has_one_server(tmp_path: Path) -> None:
    with running(tmp_path), pytest.raises(SetUpError, match="Another k8gentai uses"):
        valkey.claim(tmp_path, seconds=0.1)
    os.close(valkey.claim(tmp_path, seconds=5))


def test_a_long_path_gets_a_short_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/tmp")
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    assert len(os.fsencode(valkey.socket_path(deep))) <= valkey.SOCKET_PATH_BYTES
    assert valkey.socket_path(deep) != valkey.socket_path(deep.parent)
    with running(deep), redis.Redis.from_url(valkey.redis_url(deep)) as client:
        assert client.ping()


@pytest.mark.parametrize("url", ["redis://:secret@127.0.0.1:1/0", "http://:secret@127.0.0.1"])
def test_a_redis_that_is_away_is_named_without_its_password(url: str) -> None:
    with pytest.raises(SetUpError) as raised:
        valkey.wait_until_ready(url, 0.1)
    assert "127.0.0.1" in str(raised.value)
    assert "secret" not in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


def test_a_wrong_password_is_told_at_once(tmp_path: Path) -> None:
    with running(tmp_path), redis.Redis.from_url(valkey.redis_url(tmp_path)) as client:
        client.config_set("requirepass", "right")
        with pytest.raises(SetUpError, match="refuses the password"):
            valkey.wait_until_ready(f"{valkey.redis_url(tmp_path)}?password=wrong", 60)
