"""The table of finished responses, on the host's own SQLite store."""

import asyncio
from pathlib import Path

import pytest
from llama_stack.core.access_control.access_control import default_policy
from llama_stack.core.storage.datatypes import SqliteSqlStoreConfig
from llama_stack.core.storage.sqlstore.sqlstore import register_sqlstore_backends, shutdown_sqlstore_backends

from k8gentai.providers.turns.store import ResponseStore, StoredResponse


@pytest.fixture
async def store(tmp_path: Path):
    register_sqlstore_backends({"sql": SqliteSqlStoreConfig(db_path=str(tmp_path / "sql.db"))})
    yield await ResponseStore.declare("sql", default_policy())
    await shutdown_sqlstore_backends()


def finished(number: int) -> StoredResponse:
    nothing = {"output": [], "previous_response_id": None, "conversation": None}
    response = {"id": f"resp_{number:04}", "created_at": number, "model": "math", "status": "completed", **nothing}
    return StoredResponse(response=response, input=[], history=[])


async def test_the_first_responses_may_be_written_at_once(store: ResponseStore) -> None:
    """The host makes its tables on the first query, and has none for a second that comes meanwhile."""
    await store.open()
    await asyncio.gather(*(store.put(finished(number)) for number in range(20)))
    page = await store.page(after=None, limit=100, model="math", descending=False)
    assert [each.response["created_at"] for each in page] == list(range(20))
