"""The items of conversations, in the order they came.

The host keeps them in a table, and puts new ones where its clock says: of one second, or of two servers whose
clocks differ, they come mixed. So what joins a conversation is written here, to a position that Redis counts.
"""

import secrets
from collections.abc import Sequence
from typing import Any

from k8gentai.agents.turn import Item
from k8gentai.providers import host
from k8gentai.providers.ids import turn_of
from k8gentai.workers.positions import Positions


class ConversationItems:
    """Reads and adds items, as the current caller.

    Every method raises the host's ``ConversationNotFoundError`` where there is no such conversation, and its
    ``InvalidParameterError`` where the id is none of a conversation.

    Args:
        conversations: the host's Conversations API.
        positions: where the next items stand.
    """

    def __init__(self, conversations: Any, positions: Positions) -> None:
        self._conversations = conversations
        self._positions = positions

    async def check(self, conversation: str) -> None:
        """See that a conversation is there."""
        await self._conversations.get_conversation(host.GetConversationRequest(conversation_id=conversation))

    async def all(self, conversation: str) -> list[Any]:
        """The conversation's items, oldest first, as the host's types."""
        await self.check(conversation)
        return host.items_of(in_order(await self._rows({"conversation_id": conversation})))

    async def page(self, conversation: str, *, after: str | None, limit: int, descending: bool) -> Any:
        """Some of the conversation's items, as the host's list.

        Args:
            conversation: its id.
            after: the id of the item after which the page begins.
            limit: how many at most.
            descending: newest first.

        Raises:
            ConversationItemNotFoundError: the conversation has no item ``after``.
        """
        await self.check(conversation)
        rows = in_order(await self._rows({"conversation_id": conversation}))
        if descending:
            rows.reverse()
        if after is not None:
            ids = [row["id"] for row in rows]
            if after not in ids:
                raise host.ConversationItemNotFoundError(after, conversation)
            rows = rows[ids.index(after) + 1 :]
        return _listed(host.items_of(rows[:limit]), more=len(rows) > limit)

    async def begin(self, asked: Any) -> Any:
        """Make a conversation with the items that a client gives it. Returns it, as the host does.

        Args:
            asked: the host's ``CreateConversationRequest``.
        """
        made = await self._conversations.create_conversation(asked.model_copy(update={"items": None}))
        if asked.items:
            await self.append(made.id, asked.items)
        return made

    async def append(self, conversation: str, items: Sequence[Any]) -> Any:
        """Add items that a client made, each under a new id. Returns them as the host's list.

        An id of the client's own could be that of an item of somebody else's.

        Args:
            conversation: its id.
            items: of the host's types.

        Raises:
            InvalidParameterError: the conversation has an item of this id.
        """
        await self.check(conversation)
        await self._require_new(conversation, {item.id for item in items if item.id})
        fresh = [{**item.model_dump(mode="json"), "id": _new_id(item.type)} for item in items]
        first = await self._place(conversation, len(fresh))
        rows = host.item_rows(conversation, fresh, first)
        if rows:
            await self._sql.insert(host.ITEMS, rows)
        return _listed(host.items_of(rows), more=False)

    async def join(self, conversation: str, items: list[Item], turn_id: str) -> None:
        """Add a turn's items; those that are there already are left as they are.

        Args:
            conversation: its id.
            items: each with its id.
            turn_id: the turn's; its items get the same positions each time.
        """
        await self.check(conversation)
        first = await self._place(conversation, len(items), turn_id)
        rows = host.item_rows(conversation, items, first)
        there = await self._rows({"conversation_id": conversation, host.POSITION: {">=": first}})
        try:
            await self._insert_missing(rows, there)
        except host.RowExistsError:
            # Another server settles the same turn, or an earlier turn has an item of the same id.
            await self._insert_missing(rows, await self._rows({"conversation_id": conversation}))

    async def _require_new(self, conversation: str, ids: set[str]) -> None:
        for row in await self._rows({"conversation_id": conversation}) if ids else []:
            if row["id"] in ids:
                raise host.InvalidParameterError("items", row["id"], "Item already in conversation.")

    async def _insert_missing(self, rows: list[dict[str, Any]], there: list[dict[str, Any]]) -> None:
        known = {row["id"] for row in there}
        if missing := [row for row in rows if row["id"] not in known]:
            await self._sql.insert(host.ITEMS, missing)

    async def _place(self, conversation: str, count: int, turn_id: str = "") -> int:
        last = await self._sql.fetch_all(
            host.ITEMS,
            where={"conversation_id": conversation},
            order_by=[(host.POSITION, "desc")],
            limit=1,
        )
        least = 1 + max(((row[host.POSITION] or 0) for row in last.data), default=-1)
        return await self._positions.place(conversation, count, least=least, turn_id=turn_id)

    async def _rows(self, where: dict[str, Any]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (
            await self._sql.fetch_all(host.ITEMS, where=where, order_by=[(host.POSITION, "asc")])
        ).data
        return found

    @property
    def _sql(self) -> Any:
        # The host makes it when it initialises its Conversations API.
        return self._conversations.sql_store


def in_order(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put rows of the table in the order they came.

    A turn's items stand together, where its first one is, in the order of their ids: rows written by the host, as
    before, have positions that overlap.
    """
    places: dict[str, tuple[int, str]] = {}
    for row in rows:
        group = turn_of(row["id"]) or row["id"]
        places[group] = min(places.get(group, (row[host.POSITION], group)), (row[host.POSITION], group))
    return sorted(rows, key=lambda row: _place_of(row, places))


def _place_of(row: dict[str, Any], places: dict[str, tuple[int, str]]) -> tuple[tuple[int, str], str]:
    turn = turn_of(row["id"])
    return (places[turn], row["id"].partition("_")[2]) if turn else (places[row["id"]], "")


def _new_id(item_type: str) -> str:
    return f"{'msg' if item_type == 'message' else 'item'}_{secrets.token_hex(24)}"


def _listed(items: list[Any], *, more: bool) -> Any:
    ids = [item.id for item in items]
    return host.ConversationItemList(
        data=items, first_id=ids[0] if ids else "", last_id=ids[-1] if ids else "", has_more=more
    )
