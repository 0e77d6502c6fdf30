"""Finished responses in the host's SQL store, each owned by who asked for it.

The host's own responses store keeps only the fields its types know; this table keeps our exact JSON. Every
call acts as the current caller (:func:`k8gentai.providers.host.access.acting_as`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

from k8gentai.agents.contract.events import Event
from k8gentai.agents.contract.turn import Item
from k8gentai.providers import host
from k8gentai.providers.host.access import TABLE
from k8gentai.providers.host.indexes import Indexes
from k8gentai.providers.rendering.render import render
from k8gentai.providers.requests.compaction import compact, is_compaction
from k8gentai.providers.turns.chains import COLUMNS, INDEXES, Chains, Link, own_items
from k8gentai.workers.queue.record import TurnRecord


@dataclass(frozen=True)
class StoredResponse:
    """One response, finished or as it stands."""

    response: dict[str, Any]
    input: list[Item]
    history: list[Item]
    """The items that the agent saw before the input. Of one that was read from the table it is left out:
    :meth:`ResponseStore.items` reads it."""

    @classmethod
    def of(cls, record: TurnRecord, events: Iterable[Event]) -> Self:
        """Return a turn as these events leave it."""
        _, response = render(record, events, ended_at=record.ended_at)
        turn = record.turn
        if is_compaction(record):
            return cls(*compact(response, turn.history, turn.input), history=[])
        return cls(response, turn.input, turn.history)


class ResponseStore:
    """The table of finished responses.

    Args:
        sql: the host's store.
    """

    def __init__(self, sql: Any) -> None:
        self._sql = sql
        self._chains = Chains(sql.sql_store)

    @classmethod
    async def declare(cls, backend: str, policy: list[Any]) -> Self:
        """Declare the table. The host creates it on the first query.

        Args:
            backend: the name of a SQL backend in the host's ``storage.backends``.
            policy: the host's access rules.
        """
        sql = await host.sql_store(backend, TABLE, policy)
        column, kind = host.ColumnDefinition, host.ColumnType
        await sql.create_table(
            TABLE,
            {
                "id": column(type=kind.STRING, primary_key=True),
                "created_at": kind.INTEGER,
                "model": kind.STRING,
                "response": kind.JSON,
                "input": kind.JSON,
                "history": kind.JSON,
                **COLUMNS,
            },
        )
        for name, type_ in COLUMNS.items():
            await sql.sql_store.add_column_if_not_exists(TABLE, name, type_)
        return cls(sql)

    async def open(self) -> None:
        """Have the host connect and create its tables, before anything else uses its store.

        It does so on the first query, and another that comes meanwhile finds no table.
        """
        await self._sql.fetch_one(TABLE, where={"id": ""})
        await self.indexes.open()

    @property
    def indexes(self) -> Indexes:
        """The indexes of the table."""
        return Indexes(self._sql, TABLE, INDEXES)

    async def put(self, stored: StoredResponse) -> None:
        """Write a response, or write it again."""
        link = await self._chains.link(stored.response, stored.input, stored.history)
        await self._write(stored, link)
        if alone := await self._chains.standing(link, stored.history):
            await self._write(stored, alone)

    async def _write(self, stored: StoredResponse, link: Link) -> None:
        row = {
            "id": stored.response["id"],
            "created_at": stored.response["created_at"],
            "model": stored.response["model"],
            "response": stored.response,
            "input": stored.input,
            # Servers of older versions raise where this is None, rather than take the history for empty.
            "history": None,
            **link.columns(),
        }
        await self._sql.upsert(TABLE, row, conflict_columns=["id"])

    async def get(self, response_id: str) -> StoredResponse | None:
        """Return the response, if there is one that the caller may see."""
        row = await self._visible(response_id)
        return None if row is None else _stored(row)

    async def has(self, response_id: str) -> bool:
        """Return whether a row of the response is kept, be it for those that continue it only."""
        return await self._chains.row(response_id) is not None

    async def items(self, response_id: str) -> list[Item] | None:
        """Return the items up to and with a response's own, oldest first, if the caller may see it.

        Raises:
            ChainBrokenError: some of them are gone.
        """
        row = await self._visible(response_id)
        return None if row is None else [*await self._chains.history(row), *own_items(row)]

    async def delete(self, response_id: str) -> bool:
        """Remove the response; what others continue is kept for them alone.

        Returns:
            Whether there was one that the caller may delete.
        """
        row = await self._visible(response_id, host.Action.DELETE)
        if row is None:
            return False
        await self._chains.hide(row)
        await self._chains.purge(response_id)
        return True

    async def page(
        self, *, after: str | None, limit: int, model: str | None, descending: bool
    ) -> list[StoredResponse]:
        """Up to ``limit`` responses the caller may see, in the order of their ids, which is that of time."""
        found: list[StoredResponse] = []
        while len(found) < limit:
            where: dict[str, Any] = {"deleted": None}
            if after is not None:
                where["id"] = {"<" if descending else ">": after}
            if model is not None:
                where["model"] = model
            page = await self._sql.fetch_all(
                TABLE,
                where=where,
                limit=limit,
                order_by=[("id", "desc" if descending else "asc")],
            )
            # A custom policy may have hidden rows of the page, so it can be short without being the last.
            found += [_stored(row) for row in page.data]
            if not page.has_more or not page.data:
                break
            after = page.data[-1]["id"]
        return found[:limit]

    async def _visible(self, response_id: str, action: Any = host.Action.READ) -> dict[str, Any] | None:
        where = {"id": response_id, "deleted": None}
        row: dict[str, Any] | None = await self._sql.fetch_one(TABLE, where=where, action=action)
        return row


def _stored(row: dict[str, Any]) -> StoredResponse:
    return StoredResponse(response=row["response"], input=row["input"], history=[])
