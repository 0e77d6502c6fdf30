"""A server closes what it opened, the last first, in whichever way it ends."""

from pathlib import Path
from typing import Any

import pytest

from k8gentai.providers.requests.guardrails import Guardrails
from k8gentai.providers.server import server as module
from k8gentai.providers.server.config import AmfConfig
from k8gentai.providers.server.server import Server, Stores
from k8gentai.providers.turns.settler import Settler
from k8gentai.workers.queue import connection
from tests.support.host_apis import HostApis
from tests.support.providers import Floor, Models


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was closed, in its order."""
    names: list[str] = []

    def noting(name: str, close: Any) -> Any:
        async def noted(self: Any) -> None:
            names.append(name)
            await close(self)

        return noted

    def connect(url: str) -> Any:
        redis = real_connect(url)
        monkeypatch.setattr(type(redis), "aclose", noting("redis", type(redis).aclose))
        return redis

    real_connect = connection.connect
    monkeypatch.setattr(module, "connect", connect)
    for name, owner, method in (
        ("guardrails", Guardrails, "close"),
        ("tasks", Server, "_cancel_tasks"),
        ("settler", Settler, "stop"),
    ):
        monkeypatch.setattr(owner, method, noting(name, getattr(owner, method)))
    return names


async def build(served: Floor, directory: Path) -> Server:
    """Build a server over the floor's database, with a Redis that is away."""
    config = AmfConfig(redis_url="redis://localhost:1", registry=directory / "registry.json")
    return await Server.build(config, HostApis().deps(Models(), served.conversations), [])


async def test_it_closes_what_it_opened_last_first(served: Floor, tmp_path: Path, closed: list[str]) -> None:
    server = await build(served, tmp_path)
    await server.open()
    server.start()
    await server.stop()
    assert closed == ["settler", "tasks", "guardrails", "redis"]
    await server.stop()
    assert len(closed) == 4


async def test_one_that_never_served_closes_its_connections(
    served: Floor, tmp_path: Path, closed: list[str]
) -> None:
    await (await build(served, tmp_path)).stop()
    assert closed == ["guardrails", "redis"]


async def test_one_that_cannot_be_built_leaves_nothing_open(
    served: Floor, tmp_path: Path, closed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*given: Any) -> Stores:
        raise OSError("the disk is full")

    monkeypatch.setattr(Stores, "declare", refuse)
    with pytest.raises(OSError, match="full"):
        await build(served, tmp_path)
    assert closed == ["guardrails", "redis"]
