"""Indexes are made whoever is at work in the database, and keep no server from starting nor writing."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy import CursorResult, text
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from k8gentai.providers import host
from k8gentai.providers.host import indexes
from k8gentai.providers.host.indexes import Indexes, create_indexes
from k8gentai.providers.server import server
from tests.support.postgres import needs_postgres, postgres
from tests.support.providers import Floor

INSERT = "INSERT INTO items VALUES ('c', 1)"
STATE = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('first')"
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX%' AND wait_event_type = 'Lock'"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with postgres() as found:
        yield found


class Database:
    """A table, and a transaction that wrote to it and is not over."""

    def __init__(self, url: str) -> None:
        self.engine = create_async_engine(url)
        self.sessions = async_sessionmaker(self.engine)
        self.other = self.sessions()
        sql = SimpleNamespace(sql_store=SimpleNamespace(async_session=self.sessions))
        self.indexes = Indexes(sql, "items", {"first": ("a", "b")})

    async def execute(self, statement: str) -> Any:
        async with self.sessions() as session:
            found = cast("CursorResult[Any]", await session.execute(text(statement)))
            await session.commit()
            return found.scalar() if found.returns_rows else None

    async def wait_for(self, statement: str, value: Any) -> None:
        while await self.execute(statement) != value:
            pass


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    made = Database(url)
    await made.execute("DROP TABLE IF EXISTS items")
    await made.execute("CREATE TABLE items (a text, b int)")
    await made.other.execute(text(INSERT))
    yield made
    await made.other.close()
    await made.engine.dispose()


@needs_postgres
async def test_postgresql_makes_indexes_while_the_server_serves_and_others_write(database: Database) -> None:
    await database.indexes.open()
    assert await database.execute(STATE) is None
    creating = asyncio.create_task(database.indexes.create())
    await database.wait_for(WAITING, 1)
    await database.execute(INSERT)
    await database.other.rollback()
    assert await creating
    assert await database.execute(STATE) is True
    assert await database.indexes.create()


@needs_postgres
async def test_an_index_that_another_transaction_holds_up_is_made_later(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexes, "_SETTINGS", "SET lock_timeout = '10ms'")
    monkeypatch.setattr(indexes, "_FIRST_WAIT_SECONDS", 0.01)
    creating = asyncio.create_task(create_indexes([database.indexes]))
    await database.wait_for(STATE, value=False)
    await database.other.rollback()
    await creating
    assert await database.execute(STATE) is True


@needs_postgres
async def test_an_index_that_another_server_makes_is_left_alone(database: Database) -> None:
    await database.other.rollback()
    async with database.engine.connect() as other:
        await other.execute(text(indexes._TAKE_LOCK))
        assert not await database.indexes.create()
        await other.invalidate()
    assert await database.execute(STATE) is None


async def test_sqlite_makes_indexes_before_the_server_serves(served: Floor) -> None:
    await served.service.open()
    sql = served.conversations.sql_store
    await Indexes(sql, "nowhere", {"first": ("a",)}).open()
    await Indexes(sql, host.ITEMS, {"second": ("id", "created_at")}).open()
    async with sql.sql_store.async_session() as session:
        names = await session.execute(text("SELECT name FROM sqlite_master WHERE type = 'index'"))
        assert "second" in names.scalars().all()
    await create_indexes([served.service.indexes, served.items.indexes])


async def test_a_server_serves_while_its_indexes_are_made(served: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    tables: list[str] = []
    begun = asyncio.Event()

    async def create(given: list[Indexes]) -> None:
        tables.extend(each.table for each in given)
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(server, "create_indexes", create)
    await served.server.open()
    await begun.wait()
    assert tables == [served.service.indexes.table, host.ITEMS]
