"""The providers' floor without processes, and a client of it."""

from collections.abc import AsyncIterator
from pathlib import Path

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
