"""The items of conversations, in the order they came.

The host keeps them in a table, and puts new ones where its clock says: of one second, or of two servers whose
clocks differ, they come mixed. So what joins a conversation is written here, to a position that Redis counts.
"""

import secrets
from collections.abc import Callable, Sequence
from typing import Any

from k8gentai.agents.contract.turn import Item
from k8gentai.providers import host
from k8gentai.providers.errors import ApiError
from k8gentai.providers.host.indexes import Indexes
from k8gentai.providers.ids import turn_of
from k8gentai.workers.queue.positions import Positions

INDEXES: dict[str, tuple[str, ...]] = {"conversation_items_position": ("conversation_id", host.POSITION)}

_AHEAD = 16
"""Rows read beyond those of a page: the last ones may be of turns that go on."""

Row = dict[str, Any]


class ConversationItems:
    """Reads and adds items, as the current caller.

    Every method raises the host's ``ConversationNotFoundError`` where there is no such conversation, and its
    ``InvalidParameterError`` where the id is none of a conversation.

    Args:
        conversations: the host's Conversations API.
        positions: the positions of the next items.
    """

    def __init__(self, conversations: Any, positions: Positions) -> None:
        self._conversations = conversations
        self._positions = positions

    async def open(self) -> None:
        """Have the host create its table, and its indexes where that is done before the server serves."""
        await self._sql.fetch_one(host.ITEMS, where={"id": ""})
        await self.indexes.open()

    @property
    def indexes(self) -> Indexes:
        """The indexes that find the rows of a conversation."""
        return Indexes(self._sql, host.ITEMS, INDEXES)

    async def check(self, conversation: str) -> None:
        """See that a conversation is there."""
        await self._conversations.get_conversation(host.GetConversationRequest(conversation_id=conversation))

    async def all(self, conversation: str) -> list[Any]:
        """Return the conversation's items, oldest first, as the host's types."""
        await self.check(conversation)
        return host.items_of(in_order(await self._rows({"conversation_id": conversation})))

    async def page(self, conversation: str, *, after: str | None, limit: int, descending: bool) -> Any:
        """Return some of the conversation's items, as the host's list.

        Args:
            conversation: the conversation's id.
            after: the id of the item after which the page begins.
            limit: the most items to return.
            descending: newest first.

        Raises:
            ApiError: the conversation has no item ``after`` (404).
        """
        await self.check(conversation)
        edge = None if after is None else await self._edge(conversation, after, descending)

        def following(rows: list[Row]) -> list[Row]:
            ordered = in_order(rows)[:: -1 if descending else 1]
            ids = [None, *(row["id"] for row in ordered)]
            return ordered[ids.index(after) :] if after in ids else []

        read = await self._read(conversation, edge, descending, limit, lambda rows: len(following(rows)) > limit)
        rows = following(read)
        return _listed(host.items_of(rows[:limit]), more=len(rows) > limit)

    async def begin(self, asked: Any) -> Any:
        """Make a conversation with the items that a client gives it. Returns it, as the host does.

        Args:
            asked: the host's ``CreateConversationRequest``.

        Raises:
            InvalidParameterError: an item cannot be added. As with any other error, there is no new conversation.
        """
        made = await self._conversations.create_conversation(asked.model_copy(update={"items": None}))
        try:
            if asked.items:
                await self.append(made.id, asked.items)
        except BaseException:
            unknown = host.DeleteConversationRequest(conversation_id=made.id)
            await self._conversations.openai_delete_conversation(unknown)
            raise
        return made

    async def append(self, conversation: str, items: Sequence[Any]) -> Any:
        """Add items that a client made, each under a new id. Returns them as the host's list.

        An id of the client's own could be that of an item of somebody else's.

        Args:
            conversation: the conversation's id.
            items: of the host's types.

        Raises:
            InvalidParameterError: the conversation has an item of this id.
        """
        await self.check(conversation)
        for known in {item.id for item in items if item.id}:
            if await self._row(conversation, known):
                raise host.InvalidParameterError("items", known, "Item already in conversation.")
        fresh = [{**item.model_dump(mode="json"), "id": _new_id(item.type)} for item in items]
        first = await self._place(conversation, len(fresh))
        rows = host.item_rows(conversation, fresh, first)
        if rows:
            await self._sql.insert(host.ITEMS, rows)
        return _listed(host.items_of(rows), more=False)

    async def join(self, conversation: str, items: list[Item], turn_id: str) -> None:
        """Add a turn's items; those that are there already are left as they are.

        Args:
            conversation: the conversation's id.
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

    async def _edge(self, conversation: str, item_id: str, descending: bool) -> int:
        """Return the first position, in the order of a page, of what may stand behind an item."""
        row = await self._row(conversation, item_id)
        if row is None:
            message = str(host.ConversationItemNotFoundError(item_id, conversation))
            raise ApiError(404, message, code="item_not_found", param="after")
        back = await self._read(conversation, row[host.POSITION], not descending, 1, bool)
        (block, *_) = blocks(back or [row])
        return int(block[-1][host.POSITION])

    async def _read(
        self,
        conversation: str,
        first: int | None,
        descending: bool,
        count: int,
        enough: Callable[[list[Row]], bool],
    ) -> list[Row]:
        """Read rows by their positions, whole turns of them: some more than these hold are read, and left out.

        Args:
            conversation: the conversation's id.
            first: the position to begin at; None for the end of the conversation.
            descending: from the newest on.
            count: the number of items that are likely to be needed.
            enough: whether these are.
        """
        where: dict[str, Any] = {"conversation_id": conversation}
        if first is not None:
            where[host.POSITION] = {"<=" if descending else ">=": first}
        order = [(host.POSITION, "desc" if descending else "asc")]
        limit = count + _AHEAD
        while True:
            found = await self._sql.fetch_all(host.ITEMS, where=where, order_by=order, limit=limit)
            whole = _whole(found.data) if found.has_more else found.data
            if not found.has_more or enough(whole):
                return whole
            limit *= 2

    async def _row(self, conversation: str, item_id: str) -> Row | None:
        where = {"conversation_id": conversation, "id": item_id}
        found: Row | None = await self._sql.fetch_one(host.ITEMS, where=where)
        return found

    async def _insert_missing(self, rows: list[Row], there: list[Row]) -> None:
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

    async def _rows(self, where: dict[str, Any]) -> list[Row]:
        found: list[Row] = (
            await self._sql.fetch_all(host.ITEMS, where=where, order_by=[(host.POSITION, "asc")])
        ).data
        return found

    @property
    def _sql(self) -> Any:
        # The host makes it when it initialises its Conversations API.
        return self._conversations.sql_store


def in_order(rows: list[Row]) -> list[Row]:
    """Put rows of the table in the order they came.

    A turn's items stand together, where its first one is, in the order of their ids: rows written by the host, as
    before, have positions that overlap.
    """
    places: dict[str, tuple[int, str]] = {}
    for row in rows:
        group = _group(row)
        places[group] = min(places.get(group, (row[host.POSITION], group)), (row[host.POSITION], group))
    return sorted(rows, key=lambda row: _place_of(row, places))


def blocks(rows: list[Row]) -> list[list[Row]]:
    """Split rows, in the order of their positions, where neither a turn nor a position goes on."""
    last = {}
    for index, row in enumerate(rows):
        last[row[host.POSITION]] = last[_group(row)] = index
    found: list[list[Row]] = []
    end = -1
    for index, row in enumerate(rows):
        if index > end:
            found.append([])
        end = max(end, last[row[host.POSITION]], last[_group(row)])
        found[-1].append(row)
    return found


def _whole(rows: list[Row]) -> list[Row]:
    """Return those of rows, in the order of their positions, that no unread one behind them may stand among.

    A turn's items follow one another without a gap, so one that goes on has a row next to the last that was read.
    """
    if not rows:
        return []
    last = rows[-1][host.POSITION]
    return [row for block in blocks(rows) if abs(block[-1][host.POSITION] - last) > 1 for row in block]


def _group(row: Row) -> str:
    """Return the turn of a row, or else itself."""
    return turn_of(row["id"]) or str(row["id"])


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
