"""What unit tests share: the providers' floor without processes, a client of it, and a scripted model."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.scripted import ScriptedModel
from tests.support.providers import Floor, client_of, floor


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedModel]:
    """A scripted model of the module's own, whose scripts no other one has."""
    server = ScriptedModel()
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Floor]:
    async with floor(tmp_path) as made:
        yield made


@pytest.fixture
async def client(served: Floor) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(served) as made:
        yield made


@pytest.fixture(params=[False, True], ids=["forgotten", "gone"])
def rolled_back(served: Floor, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each turn is rolled back before the server that accepted it reads it."""
    accept = served.turns.accept

    async def accepting(*asked: Any) -> str:
        turn_id = await accept(*asked)
        await served.turns.roll_back(turn_id, settled=request.param)
        return turn_id

    monkeypatch.setattr(served.turns, "accept", accepting)
