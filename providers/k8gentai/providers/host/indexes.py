"""Makes the indexes of tables. Without one, what needs it is slower.

SQLite makes them before the server serves. PostgreSQL does so while it serves, and lets the table be read and
written meanwhile: a plain ``CREATE INDEX`` waits for every transaction that wrote to the table, and all later ones
wait for it.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import text

log = structlog.get_logger(__name__)

_LONGEST_SECONDS = 86_400
_FIRST_WAIT_SECONDS = 60
_LONGEST_WAIT_SECONDS = 3600
_SETTINGS = "SET lock_timeout = '30s'; SET statement_timeout = 0"
_TAKE_LOCK = "SELECT pg_try_advisory_lock(hashtext('k8gentai_indexes'))"
"""Of all servers one makes indexes at a time. The others do not wait for the lock: what waits has a snapshot,
which an index that is made concurrently waits for in turn."""
_STATE = """
    SELECT indisvalid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
    WHERE indrelid = to_regclass($1) AND relname = $2
"""


@dataclass(frozen=True)
class Indexes:
    """The indexes of a table that is there.

    Args:
        sql: the host's store of the table.
        table: the table's name.
        columns: the columns of each index, by its name.
    """

    sql: Any
    table: str
    columns: dict[str, tuple[str, ...]]

    async def open(self) -> None:
        """Make those that are not there yet, unless it is for :meth:`create`."""
        async with self.sql.sql_store.async_session() as session:
            if _is_postgresql(session.bind):
                return
            for name in self.columns:
                try:
                    await session.execute(text(f"CREATE INDEX IF NOT EXISTS {self._definition(name)}"))
                    await session.commit()
                except Exception as error:  # noqa: BLE001 - such as that the database is locked
                    await session.rollback()
                    _warn(name, error)

    async def create(self) -> bool:
        """Make those that PostgreSQL does not have yet, however long that takes. Returns whether all are there."""
        async with self.sql.sql_store.async_session() as session:
            engine = session.bind
        return not _is_postgresql(engine) or all([await self._create(engine, name) for name in self.columns])

    async def _create(self, engine: Any, name: str) -> bool:
        try:
            async with engine.connect() as connection:
                try:
                    # SQLAlchemy's own call begins a transaction, and has the time of the connection.
                    driver = (await connection.get_raw_connection()).driver_connection
                    return await self._create_alone(driver, name)
                finally:
                    # The lock and the settings are the connection's.
                    await connection.invalidate()
        except Exception as error:  # noqa: BLE001 - such as that a transaction of another's lasts
            _warn(name, error)
            return False

    async def _create_alone(self, driver: Any, name: str) -> bool:
        """Make an index, unless another server makes one now. Returns whether it is there."""
        await driver.execute(_SETTINGS)
        if not await driver.fetchval(_TAKE_LOCK):
            return False
        is_valid = await driver.fetchval(_STATE, self.table, name)
        if is_valid is False:
            # What is left of one that was broken off: it costs each write, and finds nothing.
            await driver.execute(f"DROP INDEX CONCURRENTLY {name}", timeout=_LONGEST_SECONDS)
        if not is_valid:
            statement = f"CREATE INDEX CONCURRENTLY {self._definition(name)}"
            await driver.execute(statement, timeout=_LONGEST_SECONDS)
            log.info("index_made", index=name)
        return True

    def _definition(self, name: str) -> str:
        return f"{name} ON {self.table} ({', '.join(self.columns[name])})"


async def create_indexes(tables: Sequence[Indexes]) -> None:
    """Make the indexes that PostgreSQL does not have yet; what cannot be made now is tried again later."""
    seconds = _FIRST_WAIT_SECONDS
    while not all([await indexes.create() for indexes in tables]):
        await asyncio.sleep(seconds)
        seconds = min(2 * seconds, _LONGEST_WAIT_SECONDS)


def _is_postgresql(engine: Any) -> bool:
    return bool(engine.dialect.name == "postgresql")


def _warn(name: str, error: Exception) -> None:
    log.warning("index_not_made", index=name, error=str(getattr(error, "orig", error)))
