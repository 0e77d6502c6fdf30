"""The Responses API over turns: what the routes and the host's provider object both call.

Every method acts as the current caller, and knows nothing of HTTP beyond :class:`ApiError`. Reading never
touches a turn: a client that goes away changes nothing.
"""

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import structlog

from k8gentai.agents.contract.turn import Item
from k8gentai.providers.errors import ApiError, invalid, response_not_found
from k8gentai.providers.host.access import acting_as, caller
from k8gentai.providers.host.indexes import Indexes
from k8gentai.providers.ids import is_turn_id
from k8gentai.providers.rendering.render import Rendering, StreamEvent
from k8gentai.providers.rendering.response_object import joins, resource_base
from k8gentai.providers.requests.compaction import compaction_resource, is_compaction
from k8gentai.providers.turns.acceptor import Acceptor
from k8gentai.providers.turns.history import Histories
from k8gentai.providers.turns.reader import TurnReader
from k8gentai.providers.turns.store import ResponseStore, StoredResponse
from k8gentai.workers.queue.connection import AWAY
from k8gentai.workers.queue.record import ENDED, TurnRecord
from k8gentai.workers.queue.turns import TurnDeletedError, TurnNotFoundError, Turns

log = structlog.get_logger(__name__)

_LAST = frozenset({"response.completed", "response.incomplete"})
"""The events that end the stream of a turn which joins its conversation."""


class ResponsesService:
    """Reads, cancels and deletes responses; its ``acceptor`` creates them.

    Args:
        turns: turns in Redis.
        reader: reads them for the caller.
        store: finished responses in the host's SQL store.
        histories: conversations.
        acceptor: accepts turns.
    """

    def __init__(
        self, turns: Turns, reader: TurnReader, store: ResponseStore, histories: Histories, acceptor: Acceptor
    ) -> None:
        self._turns = turns
        self._reader = reader
        self._store = store
        self._histories = histories
        self.acceptor = acceptor

    async def open(self) -> None:
        """Get ready in the event loop that serves, before the first request."""
        await self._store.open()

    @property
    def indexes(self) -> Indexes:
        """The indexes of finished responses."""
        return self._store.indexes

    async def wait(self, accepted: TurnRecord) -> dict[str, Any]:
        """Return the response when its turn has ended, to whoever asked for it; cancelled where it was rolled back
        or deleted meanwhile, failed where Redis lost it.

        Args:
            accepted: the turn as it was accepted.

        Raises:
            ApiError: the server stops before that (503), or the turn failed because an MCP server of the request
                does not know the caller (401).
        """
        record = await self._reader.created(accepted)
        rendering = Rendering(record)
        await self._reader.wait(rendering, accepted.turn.id, created=record)
        response = rendering.response()
        await self._join(response)
        if (response["error"] or {}).get("reason") == "mcp_unauthorized":
            raise ApiError(401, response["error"]["message"], code="mcp_unauthorized", param="tools")
        return response

    async def accepted(self, accepted: TurnRecord) -> dict[str, Any]:
        """Return the response as its turn was accepted, however far it has come: so a repeated request is answered
        like the first.
        """
        return resource_base(await self._reader.created(accepted))

    async def compaction(self, turn_id: str) -> dict[str, Any]:
        """Return the answer to a compaction's request, when its turn has ended.

        Raises:
            ApiError: there is no summary (409, 502), or the server stops before that (503).
        """
        await self._reader.wait(Rendering(await self._reader.record(turn_id, "read")), turn_id)
        made = await self._whole(turn_id)
        return compaction_resource(made.response, made.input)

    async def get(self, response_id: str) -> dict[str, Any]:
        """Return the response as it stands.

        Raises:
            ApiError: there is none that the caller may see (404).
        """
        response = (await self._whole(response_id)).response
        await self._join(response)
        return response

    async def stream(self, response_id: str, after: int = -1) -> AsyncIterator[StreamEvent]:
        """Return the response's stream events with a sequence number above ``after``, those to come included.

        Raises:
            ApiError: there is no such response (404), before the first event is asked for.
        """
        try:
            record = await self._reader.record(response_id, "read")
        except TurnNotFoundError:
            if await self._store.get(response_id) is None:
                raise response_not_found(response_id) from None
            raise ApiError(
                400,
                f"The stream of response '{response_id}' is no longer kept. Retrieve it without 'stream'.",
                code="stream_expired",
                param="stream",
            ) from None
        if is_compaction(record):
            raise invalid(f"Response '{response_id}' is a compaction, which has no stream.", "stream")
        return self._after(self._reader.stream(Rendering(record), response_id), after)

    async def created(self, accepted: TurnRecord) -> AsyncIterator[StreamEvent]:
        """Return the stream events of a response for whoever asked for it; they end as :meth:`wait` does.

        Args:
            accepted: the turn as it was accepted.
        """
        record = await self._reader.created(accepted)
        return self._after(self._reader.stream(Rendering(record), accepted.turn.id, created=record), -1)

    async def input(self, response_id: str) -> list[Item]:
        """Return the response's input items, in their order.

        Raises:
            ApiError: there is no such response (404).
        """
        return (await self._whole(response_id)).input

    async def cancel(self, response_id: str) -> dict[str, Any]:
        """End the response's turn as cancelled, unless it has ended. One that waits for a person is ended, too.

        Returns:
            The cancelled response; also where it had been cancelled before.

        Raises:
            ApiError: there is no such response (404), or it has ended otherwise (409).
            AnsweredError: it waited for a person, and was answered.
        """
        try:
            await self._reader.record(response_id, "update", unkept=True)
            status: str = await self._turns.cancel(response_id)
            response = (await self._render(await self._turns.get(response_id))).response
        except TurnNotFoundError:
            response = await self.get(response_id)
            status = response["status"]
        if status in ENDED - {"cancelled", "suspended"}:
            raise ApiError(
                409,
                f"Response '{response_id}' has ended ({status}) and cannot be cancelled.",
                code="response_ended",
                headers={"X-Should-Retry": "false"},
            )
        return response

    async def delete(self, response_id: str) -> None:
        """Forget the response, and those that its tool calls asked for as far as Redis knows them; a turn that has
        not ended is cancelled.

        Raises:
            ApiError: there is no such response (404).
        """
        try:
            await self._reader.record(response_id, "delete", unkept=True)
        except TurnDeletedError:
            raise response_not_found(response_id) from None
        except TurnNotFoundError:
            if not await self._store.delete(response_id):
                raise response_not_found(response_id) from None
            return
        # Those in the database first: where it is away, who tries again still finds them all.
        await self._delete_stored(await self._turns.with_children(response_id))
        with suppress(TurnNotFoundError):
            # One that was settled meanwhile was written there again.
            await self._delete_stored(await self._turns.delete(response_id))

    async def _delete_stored(self, response_ids: list[str]) -> None:
        for response_id in response_ids:
            await self._store.delete(response_id)

    async def page(
        self, *, after: str | None, limit: int, model: str | None, descending: bool
    ) -> tuple[list[StoredResponse], bool]:
        """Return responses in the order they were created, finished or not.

        Args:
            after: the id after which the page begins.
            limit: the most responses to return.
            model: only those asked of this model.
            descending: newest first.

        Returns:
            The page, and whether more follow.

        Raises:
            ApiError: ``after`` is no id of a response (400). One that was deleted has its place in the order.
        """
        if after is not None and not is_turn_id(after):
            raise invalid(f"'after' must be the id of a response; '{after}' is none.", "after")
        # Turns under way first: one that is settled meanwhile shows in the store, and counts once.
        found = {}
        for turn_id in await self._turns.unsettled(caller()):
            if after is None or (turn_id < after if descending else turn_id > after):
                found[turn_id] = await self._unsettled(turn_id, model)
        for stored in await self._store.page(after=after, limit=limit + 1, model=model, descending=descending):
            found[stored.response["id"]] = stored
        ordered = [found[id_] for id_ in sorted(found, reverse=descending)]
        page = [stored for stored in ordered if stored is not None]
        return page[:limit], len(page) > limit

    async def _unsettled(self, turn_id: str, model: str | None) -> StoredResponse | None:
        try:
            record = await self._reader.record(turn_id, "read")
        except TurnNotFoundError:
            return None
        if not record.store or (model is not None and record.request.get("model") != model):
            return None
        stored = await self._render(record)
        await self._join(stored.response)
        return stored

    async def _whole(self, response_id: str) -> StoredResponse:
        try:
            return await self._render(await self._reader.record(response_id, "read"))
        except TurnDeletedError:
            # What is settled at this moment may stand in the store until the server sees that it was deleted.
            raise response_not_found(response_id) from None
        except TurnNotFoundError:
            stored = await self._store.get(response_id)
        except AWAY:
            # A finished response can be had without Redis.
            stored = await self._store.get(response_id)
            if stored is None:
                raise
        if stored is None:
            raise response_not_found(response_id)
        return stored

    async def _render(self, record: TurnRecord) -> StoredResponse:
        record, events = await self._reader.so_far(record)
        return StoredResponse.of(record, events)

    async def _after(self, stream: AsyncIterator[StreamEvent], after: int) -> AsyncIterator[StreamEvent]:
        async for event in stream:
            if event["type"] in _LAST:
                await self._join(event["response"])
            if event["sequence_number"] > after:
                yield event

    async def _join(self, response: dict[str, Any]) -> None:
        """Have an ended turn's items in its conversation before its client hears of the end, as it may look there
        at once. What settles the turn may come later, and does it too."""
        if response["conversation"] is None or not joins(response):
            return
        try:
            record = await self._turns.get(response["id"])
            if not record.settled:
                with acting_as(record.owner):
                    await self._histories.join(record, response)
        except TurnNotFoundError:
            # It was settled long ago.
            return
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the turn ended as its client is told
            # A database's words quote what was to be written.
            log.warning("join_left_to_settling", turn=response["id"], error=type(error).__name__)
