"""Chains of stored responses: each row holds its own items, and names the row whose history its own goes on with.

Rows of one chain are numbered, so that a history is read in one query, however long it is. A response that
continues one that another continues already begins a chain of its own, as does what a conversation did not take;
turns that joined one conversation are a chain of its name. Rows of older versions hold their whole history, and
begin none.

Whoever may read a response may have its history, whoever's rows hold that: these are read past the access policy.
"""

from dataclasses import dataclass, fields, replace
from typing import Any

from k8gentai.agents.contract.turn import Item
from k8gentai.providers import host
from k8gentai.providers.host.access import TABLE
from k8gentai.providers.rendering.response_object import joined, joins, usable

Row = dict[str, Any]

COLUMNS = {
    "chain": host.ColumnType.STRING,
    "place": host.ColumnType.INTEGER,
    "previous": host.ColumnType.STRING,
    "earlier": host.ColumnType.JSON,
    "length": host.ColumnType.INTEGER,
    "deleted": host.ColumnType.BOOLEAN,
}
"""The columns in which a response's row has its place in a chain: the fields of :class:`Link`, and whether only
those that continue it need it."""

INDEXES = {f"{TABLE}_chain": ("chain", "place"), f"{TABLE}_previous": ("previous",)}


class ChainBrokenError(LookupError):
    """A row that others continue is gone; its id is the argument."""


@dataclass(frozen=True)
class Link:
    """The place of a response in its chain."""

    chain: str
    place: int
    """The response's number in the chain."""
    previous: str | None
    """The response whose history and items come before it, if their rows hold any."""
    earlier: list[Item]
    """The items that come after those, and before its input."""
    length: int
    """The number of items up to and with its own."""

    def columns(self) -> dict[str, Any]:
        """Return what the response's row has of it."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


class Chains:
    """Links rows of the table of responses, and follows their links.

    Args:
        sql: the host's store, without its access policy.
    """

    def __init__(self, sql: Any) -> None:
        self._sql = sql

    async def row(self, response_id: str) -> Row | None:
        """Return the row, be it that of a deleted response."""
        found: Row | None = await self._sql.fetch_one(TABLE, where={"id": response_id})
        return found

    async def link(self, response: dict[str, Any], given: list[Item], history: list[Item]) -> Link:
        """Find the place of a response; that of one which has a place is left as it is.

        Args:
            response: the response as it is to be stored.
            given: the input of its turn.
            history: the items that its agent saw before that.
        """
        own = await self.row(response["id"])
        if own and own["chain"]:
            return Link(**{field.name: own[field.name] for field in fields(Link)})
        length = len(history) + len(given) + len(usable(response["output"]))
        if conversation := response["conversation"]:
            return await self._in_conversation(conversation["id"], response, history, length)
        alone = Link(response["id"], 0, None, history, length)
        before = await self.row(previous) if (previous := response["previous_response_id"]) else None
        if before is None or not _begins_with(history, before):
            return alone
        linked = replace(alone, previous=before["id"], earlier=history[_length(before) :])
        if before["chain"] is None or before["response"]["conversation"] or await self._taken(before):
            return linked
        return replace(linked, chain=before["chain"], place=before["place"] + 1)

    async def standing(self, link: Link, history: list[Item]) -> Link | None:
        """Return a link that needs no other row, where the one that it names was deleted meanwhile; else None."""
        if link.previous is None or await self.row(link.previous):
            return None
        return replace(link, previous=None, earlier=history)

    async def history(self, row: Row) -> list[Item]:
        """Return the items before a row's own, oldest first.

        Raises:
            ChainBrokenError: some are gone.
        """
        parts = [_earlier(row)]
        found = await self._before(row)
        while previous := row["previous"]:
            if previous not in found:
                found = await self._up_to(previous)
            row = found[previous]
            parts.append([*_earlier(row), *own_items(row)])
        return [item for part in reversed(parts) for item in part]

    async def hide(self, row: Row) -> None:
        """Take a response from its readers, and leave its items to those that continue it."""
        kept = {name: row["response"].get(name) for name in ("id", "output", "conversation")}
        await self._sql.update(TABLE, {"response": kept, "deleted": True}, where={"id": row["id"]})

    async def purge(self, response_id: str | None) -> None:
        """Remove the row of a deleted response that nothing continues, and those that were kept for it alone."""
        while response_id:
            row = await self.row(response_id)
            if row is None or not row["deleted"] or await self._continued(response_id):
                return
            await self._sql.delete(TABLE, where={"id": response_id})
            if await self._continued(response_id):
                # By one that was written at this moment.
                await self._sql.upsert(TABLE, row, conflict_columns=["id"])
                return
            response_id = row["previous"]

    async def _in_conversation(
        self, conversation: str, response: dict[str, Any], history: list[Item], length: int
    ) -> Link:
        last = await self._first({"chain": conversation}, order_by=[("place", "desc")])
        chain, place = (conversation, last["place"] + 1 if last else 0) if joins(response) else (response["id"], 0)
        if last is None or not _begins_with(history, last):
            return Link(chain, place, None, history, length)
        return Link(chain, place, last["id"], history[_length(last) :], length)

    async def _taken(self, before: Row) -> bool:
        """Return whether the place behind a row is taken."""
        place = {"chain": before["chain"], "place": before["place"] + 1}
        return await self._first(place) is not None

    async def _continued(self, response_id: str) -> bool:
        return await self._first({"previous": response_id}) is not None

    async def _first(self, where: dict[str, Any], order_by: list[tuple[str, str]] | None = None) -> Row | None:
        found: Row | None = await self._sql.fetch_one(TABLE, where=where, order_by=order_by)
        return found

    async def _before(self, row: Row) -> dict[str, Row]:
        """Return the rows of a row's chain that stand before it, by their ids; those of branches among them."""
        if not row["place"]:
            return {}
        where = {"chain": row["chain"], "place": {"<": row["place"]}}
        return {each["id"]: each for each in (await self._sql.fetch_all(TABLE, where=where)).data}

    async def _up_to(self, response_id: str) -> dict[str, Row]:
        row = await self.row(response_id)
        if row is None:
            raise ChainBrokenError(response_id)
        return {**await self._before(row), response_id: row}


def own_items(row: Row) -> list[Item]:
    """Return a row's input, and what later turns see of its output."""
    return [*row["input"], *usable(row["response"]["output"])]


def _earlier(row: Row) -> list[Item]:
    earlier: list[Item] = row["history"] if row["chain"] is None else row["earlier"]
    return earlier


def _length(row: Row) -> int:
    return row["length"] or len(_earlier(row)) + len(own_items(row))


def _begins_with(history: list[Item], row: Row) -> bool:
    """Return whether a history begins with a row's and its own items: their number and the last of them say so."""
    given, output, length = row["input"], row["response"]["output"], _length(row)
    last = {items[-1]["id"] for items in (own_items(row), joined(row["id"], given, output)) if items}
    return len(history) >= length and bool(last) and history[length - 1]["id"] in last
