"""The providers' floor without processes, and a client of it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.providers import Floor, client_of, floor


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
