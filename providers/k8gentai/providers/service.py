"""The Responses API over turns: what the routes and the host's provider object both call.

Every method acts as the current caller, and knows nothing of HTTP beyond :class:`ApiError`. Reading never
touches a turn: a client that goes away changes nothing.
"""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import structlog
from opentelemetry import propagate

from k8gentai.agents.turn import Item, Turn
from k8gentai.providers.access import acting_as, caller
from k8gentai.providers.approvals import asking_turn, continued, next_part, unknown_request
from k8gentai.providers.errors import ApiError, invalid, response_not_found
from k8gentai.providers.history import Histories
from k8gentai.providers.ids import new_turn_id
from k8gentai.providers.reading import TurnReader
from k8gentai.providers.render import Rendering, StreamEvent, render
from k8gentai.providers.request import CreateRequest, read_request
from k8gentai.providers.resolve import Resolver
from k8gentai.providers.store import ResponseStore, StoredResponse
from k8gentai.workers.accepting import ParentEndedError, Terms
from k8gentai.workers.connection import UNREACHABLE
from k8gentai.workers.parents import PARENT_HEADER, Parent
from k8gentai.workers.record import ENDED, AcceptedTurn, ClassicPart, Replay, TurnRecord
from k8gentai.workers.turns import TurnDeletedError, TurnNotFoundError, Turns

log = structlog.get_logger(__name__)


class ResponsesService:
    """Creates, reads, cancels and deletes responses.

    Args:
        turns: turns in Redis.
        reader: reads them for the caller.
        store: finished responses in the host's SQL store.
        resolver: finds what ``model`` names.
        histories: what a turn's agent sees before its input.
    """

    def __init__(
        self,
        turns: Turns,
        reader: TurnReader,
        store: ResponseStore,
        resolver: Resolver,
        histories: Histories,
    ) -> None:
        self._turns = turns
        self._reader = reader
        self._store = store
        self._resolver = resolver
        self._histories = histories

    async def open(self) -> None:
        """Get ready in the event loop that serves, before the first request."""
        await self._store.open()

    @asynccontextmanager
    async def on_behalf(self, header: str | None) -> AsyncIterator[Parent | None]:
        """Act as the owner of the turn that a worker asks for, where the request says that one does.

        Args:
            header: what the request says.

        Raises:
            ApiError: no worker of this stack sent it (403).
        """
        if header is None:
            yield None
            return
        parent = await self._turns.parent(header)
        if parent is None:
            raise ApiError(403, f"The header '{PARENT_HEADER}' is for workers.", code="parent_forged")
        try:
            owner = (await self._turns.get(parent.turn_id)).owner
        except TurnNotFoundError:
            raise ParentEndedError from None
        with acting_as(owner):
            yield parent

    async def create(
        self,
        body: Any,
        idempotency_key: str | None = None,
        sdk_try: int | None = None,
        classic: Callable[[str], ClassicPart] | None = None,
        parent: Parent | None = None,
    ) -> tuple[str, CreateRequest]:
        """Accept a turn.

        Args:
            body: the request's JSON.
            idempotency_key: a name the client gave the request; the same one gives the same turn.
            sdk_try: which try of the request this is, from 0, where the client's SDK says so; a later one
                gives the turn of the one before.
            classic: given the turn's id, says what it is to the classic Agents API that it came through.
            parent: the turn whose tool call asks for this one, from :meth:`on_behalf`.

        Returns:
            The turn's id, and the request as it was read.

        Raises:
            ApiError: the request is wrong; nothing was accepted.
            QueueFullError, ConversationBusyError, IdempotencyConflictError, ParentEndedError: the same.
            redis.exceptions.ConnectionError, redis.exceptions.TimeoutError: Redis is away.
        """
        turn_id = new_turn_id()
        request = read_request(turn_id, body)
        target = await self._resolver.resolve(request.model)
        if request.conversation:
            await self._histories.check_conversation(request.conversation)
        replay, part = await self._continued(request, target.agent)
        trace: dict[str, str] = {}
        propagate.inject(trace)
        accepted = AcceptedTurn(
            turn=Turn(
                id=turn_id,
                agent=target.agent,
                input=request.input,
                instructions=request.instructions,
                tools=request.tools,
                parameters=request.parameters,
                conversation=request.conversation,
            ),
            framework=target.framework,
            implicit=target.implicit,
            owner=caller(),
            request=request.echo,
            previous_response_id=request.previous_response_id,
            background=request.background,
            store=request.store,
            accepted_at=time.time(),
            trace=trace,
            replay=replay,
            classic=classic(turn_id) if classic else part,
            parent=parent,
        )
        terms = Terms(
            strategy=request.multitask_strategy or target.multitask_strategy,
            agent_limit=target.queue_limit,
            idempotency_key=idempotency_key,
            sdk_try=sdk_try,
        )
        kept = await self._turns.accept(accepted, lambda: self._histories.before(accepted), terms)
        log.info("turn_accepted", turn=kept, agent=target.agent, framework=target.framework)
        return kept, request

    async def _continued(self, request: CreateRequest, agent: str) -> tuple[Replay | None, ClassicPart | None]:
        """What the request goes on with, where it answers what a suspended turn asked.

        Raises:
            ApiError: it answers what was not asked, or not of this agent, or not in the place where it was asked.
        """
        turn_id = asking_turn(request.input)
        if turn_id is None:
            return None, None
        try:
            record = await self._reader.record(turn_id, "update")
        except TurnNotFoundError:
            raise unknown_request(0, request.input[0]) from None
        if request.previous_response_id != turn_id and (
            request.conversation is None or request.conversation != record.turn.conversation
        ):
            message = f"Response '{turn_id}' asked: name it as 'previous_response_id', or its conversation."
            raise invalid(message, "previous_response_id", "approval_elsewhere")
        if record.turn.agent != agent:
            raise invalid(f"Agent '{record.turn.agent}' asked, not '{agent}'.", "model", "approval_elsewhere")
        record, events = await self._reader.so_far(record)
        return continued(record, events, request.input), next_part(record)

    async def wait(self, turn_id: str) -> dict[str, Any]:
        """The response when its turn has ended.

        Raises:
            ApiError: the server stops before that (503).
        """
        rendering = Rendering(await self._reader.record(turn_id, "read"))
        await self._reader.wait(rendering, turn_id)
        return rendering.response()

    async def get(self, response_id: str) -> dict[str, Any]:
        """The response as it stands.

        Raises:
            ApiError: there is none that the caller may see (404).
        """
        return (await self._whole(response_id)).response

    async def stream(self, response_id: str, after: int = -1) -> AsyncIterator[StreamEvent]:
        """The response's stream events with a sequence number above ``after``, those to come included.

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
        return self._after(self._reader.stream(Rendering(record), response_id), after)

    async def input(self, response_id: str) -> list[Item]:
        """The response's input items, in their order.

        Raises:
            ApiError: there is no such response (404).
        """
        return (await self._whole(response_id)).input

    async def cancel(self, response_id: str) -> dict[str, Any]:
        """End the response's turn as cancelled, unless it has ended.

        Returns:
            The cancelled response; also where it had been cancelled before.

        Raises:
            ApiError: there is no such response (404), or it has ended otherwise (409).
        """
        try:
            await self._reader.record(response_id, "update")
            status: str = await self._turns.cancel(response_id)
            response = await self.get(response_id)
        except TurnNotFoundError:
            response = await self.get(response_id)
            status = response["status"]
        if status in ENDED and status != "cancelled":
            raise ApiError(
                409,
                f"Response '{response_id}' has ended ({status}) and cannot be cancelled.",
                code="response_ended",
                headers={"X-Should-Retry": "false"},
            )
        return response

    async def delete(self, response_id: str) -> None:
        """Forget the response; a turn that has not ended is cancelled.

        Raises:
            ApiError: there is no such response (404).
        """
        try:
            await self._reader.record(response_id, "delete")
            await self._turns.delete(response_id)
            found = True
        except TurnDeletedError:
            raise response_not_found(response_id) from None
        except TurnNotFoundError:
            found = False
        if not await self._store.delete(response_id) and not found:
            raise response_not_found(response_id)

    async def page(
        self, *, after: str | None, limit: int, model: str | None, descending: bool
    ) -> tuple[list[StoredResponse], bool]:
        """Responses in the order they were created, finished or not.

        Args:
            after: the id after which the page begins.
            limit: how many to give.
            model: only those asked of this model.
            descending: newest first.

        Returns:
            The page, and whether more follow.
        """
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
        return await self._render(record)

    async def _whole(self, response_id: str) -> StoredResponse:
        try:
            return await self._render(await self._reader.record(response_id, "read"))
        except TurnDeletedError:
            # What is settled at this moment may stand in the store until the server sees that it was deleted.
            raise response_not_found(response_id) from None
        except TurnNotFoundError:
            stored = await self._store.get(response_id)
        except UNREACHABLE:
            # A finished response can be had without Redis.
            stored = await self._store.get(response_id)
            if stored is None:
                raise
        if stored is None:
            raise response_not_found(response_id)
        return stored

    async def _render(self, record: TurnRecord) -> StoredResponse:
        record, events = await self._reader.so_far(record)
        _, response = render(record, events, ended_at=record.ended_at)
        return StoredResponse(response, record.turn.input, record.turn.history)

    @staticmethod
    async def _after(stream: AsyncIterator[StreamEvent], after: int) -> AsyncIterator[StreamEvent]:
        async for event in stream:
            if event["sequence_number"] > after:
                yield event
