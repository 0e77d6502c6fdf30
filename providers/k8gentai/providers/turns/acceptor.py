"""Accepts turns: every way of asking for one, of whichever API, comes through here."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import structlog
from opentelemetry import propagate

from k8gentai.agents.contract.turn import Item, Turn
from k8gentai.providers.errors import MODEL_NOT_FOUND, ApiError, agent_gone, agent_not_loaded, invalid
from k8gentai.providers.host.access import acting_as, caller
from k8gentai.providers.ids import new_turn_id
from k8gentai.providers.requests.answer_formats import check_schema
from k8gentai.providers.requests.compaction import COMPACTION, summary_request
from k8gentai.providers.requests.input_items import check_outputs
from k8gentai.providers.requests.referenced import Lookups
from k8gentai.providers.requests.request import CreateRequest, read_request
from k8gentai.providers.requests.target_checks import check_parameters, check_parts
from k8gentai.providers.requests.targets import Resolver, Target
from k8gentai.providers.requests.tool_choices import check_tool_choice
from k8gentai.providers.turns.continuation import (
    asking_turn,
    check_is_asked_here,
    continued,
    first_seen,
    unknown_request,
)
from k8gentai.providers.turns.going_on import GoingOn, check_same, with_credentials
from k8gentai.providers.turns.history import Histories
from k8gentai.providers.turns.reader import TurnReader
from k8gentai.workers.queue.admission import ParentEndedError, Terms
from k8gentai.workers.queue.grants import PARENT_HEADER, Parent
from k8gentai.workers.queue.origin import Origin
from k8gentai.workers.queue.record import AcceptedTurn, TurnRecord
from k8gentai.workers.queue.status import Pools
from k8gentai.workers.queue.turns import TurnNotFoundError, Turns

log = structlog.get_logger(__name__)


class Acceptor:
    """Accepts turns for the current caller.

    Args:
        turns: turns in Redis.
        reader: reads them for the caller.
        resolver: finds what ``model`` names.
        histories: finds the items that a turn's agent sees before its input.
        lookups: finds what else it names.
        pools: the pools that run turns.
    """

    def __init__(
        self,
        turns: Turns,
        reader: TurnReader,
        resolver: Resolver,
        histories: Histories,
        lookups: Lookups,
        pools: Pools,
    ) -> None:
        self._pools = pools
        self._turns = turns
        self._reader = reader
        self._resolver = resolver
        self._histories = histories
        self._lookups = lookups

    @asynccontextmanager
    async def on_behalf(self, header: str | None) -> AsyncIterator[Parent | None]:
        """Act as the owner of the turn that a worker asks for, where the request says that one does.

        Args:
            header: the header of the request; None where it has none.

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

    async def accept(
        self,
        body: Any,
        idempotency_key: str | None = None,
        sdk_try: int | None = None,
        origin: Callable[[str], Origin] | None = None,
        parent: Parent | None = None,
        *,
        checks_outputs: bool = True,
        keep_history: bool = False,
    ) -> tuple[TurnRecord, CreateRequest]:
        """Accept a turn.

        Args:
            body: the request's JSON.
            idempotency_key: a name the client gave the request; the same one gives the same turn.
            sdk_try: which try of the request this is, from 0, where the client's SDK says so; a later one
                gives the turn of the one before.
            origin: makes the turn's origin of its id; by default it is that of the Responses API, or of the turn
                that it goes on with.
            parent: the turn whose tool call asks for this one, from :meth:`on_behalf`.
            checks_outputs: refuse results of tools that nobody called.
            keep_history: the turn's history is read after it was settled, too.

        Returns:
            The turn as it was accepted, for whoever waits for it: it may be gone again before it is read, rolled
            back by the conversation's next. And the request as it was read.

        Raises:
            ApiError: the request is wrong; nothing was accepted.
            QueueFullError, ConversationBusyError, IdempotencyConflictError, ParentEndedError: the same.
            redis.exceptions.ConnectionError, redis.exceptions.TimeoutError: Redis is away.
        """
        turn_id = new_turn_id()
        asked = read_request(turn_id, body)
        request, target, going_on = await self._checked(turn_id, asked, parent)
        accepted = _accepted(
            turn_id,
            request,
            target,
            going_on,
            origin=origin(turn_id) if origin else going_on.origin,
            parent=parent,
            keep_history=keep_history,
        )
        terms = _terms(request, target, going_on, idempotency_key, sdk_try)

        async def history() -> list[Item]:
            before = await self._histories.before(accepted)
            if checks_outputs and not going_on.replay:
                check_outputs(asked.input, before)
            return before

        kept = await self._turns.accept(accepted, history, terms)
        log.info("turn_accepted", turn=kept, agent=target.agent, framework=target.framework, pool=target.pool)
        turn = accepted.turn.model_copy(update={"id": kept})
        return TurnRecord(**{**dict(accepted), "turn": turn}, status="queued"), request

    async def _checked(
        self, turn_id: str, asked: CreateRequest, parent: Parent | None
    ) -> tuple[CreateRequest, Target, GoingOn]:
        """Return a request with what it names, whom it is for, and what it goes on with.

        Raises:
            ApiError: the request is wrong.
        """
        await check_schema((asked.parameters.get("text") or {}).get("format") or {})
        target = await self._target(asked)
        check_parameters(asked.parameters, target)
        request = await self._lookups.complete(turn_id, asked, target.framework)
        check_parts(request, target)
        if request.conversation:
            await self._histories.check_conversation(request.conversation)
        going_on = await self._continued(request, target.agent, parent)
        if going_on.turn is None:
            check_tool_choice(request, target)
        return request, target, going_on

    async def _target(self, request: CreateRequest) -> Target:
        """Find whom a request is for.

        Raises:
            ApiError: nobody; where the request answers a question of an agent that is gone, saying that.
        """
        try:
            return await self._resolver.resolve(request.model)
        except ApiError as error:
            if error.code == MODEL_NOT_FOUND and (turn := await self._waiting_turn(request)) is not None:
                raise agent_gone(turn.id, turn.agent) from None
            raise

    async def _waiting_turn(self, request: CreateRequest) -> Turn | None:
        """Return the turn of the request's agent that waits for the request's answers."""
        try:
            turn_id = asking_turn(request.input)
            record = None if turn_id is None else await self._reader.record(turn_id, "update", unkept=True)
        except (ApiError, TurnNotFoundError):
            return None
        if (
            record is None
            or record.standing != "suspended"
            or not self._resolver.means(request.model, record.turn.agent)
        ):
            return None
        return record.turn

    async def accept_compaction(
        self, body: Any, idempotency_key: str | None = None, sdk_try: int | None = None
    ) -> str:
        """Accept the turn that sums up what a compaction's request names. Returns the turn's id.

        Raises:
            The same as :meth:`accept`.
        """
        request = summary_request(body)
        if isinstance(model := request.get("model"), str):
            request["model"] = self._resolver.model_of(model)
        record, _ = await self.accept(request, idempotency_key, sdk_try, lambda _: COMPACTION, keep_history=True)
        return record.turn.id

    async def _continued(self, request: CreateRequest, agent: str, parent: Parent | None) -> GoingOn:
        """Return what the request goes on with, where it answers what a suspended turn asked.

        Raises:
            ApiError: it answers what was not asked, or not of this agent, or not in the place where it was asked,
                or asks for something else than the turn; or nobody can go on with it.
        """
        turn_id = asking_turn(request.input)
        if turn_id is None:
            return GoingOn()
        try:
            # What was not to be kept is there for as long as it waits for the answer.
            record = await self._reader.record(turn_id, "update", unkept=True)
        except TurnNotFoundError:
            raise unknown_request(0, request.input[0]) from None
        if request.previous_response_id != turn_id and (
            request.conversation is None or request.conversation != record.turn.conversation
        ):
            message = f"Response '{turn_id}' asked: name it as 'previous_response_id', or its conversation."
            raise invalid(message, "previous_response_id", "approval_elsewhere")
        if record.turn.agent != agent:
            raise invalid(f"Agent '{record.turn.agent}' asked, not '{agent}'.", "model", "approval_elsewhere")
        if parent is None:
            check_is_asked_here(record)
        if unable := await self._pools.unable(record.pool, agent):
            raise agent_not_loaded(turn_id, agent, next(iter(unable.values())))
        turn = with_credentials(first_seen(record), request.tools)
        check_same(request, turn)
        record, events = await self._reader.so_far(record)
        replay = continued(record, events, request.input, await self._turns.now())
        replay = replay.model_copy(update={"turn": turn})
        kept = ("instructions", *turn.parameters)
        echo = {name: value for name, value in record.request.items() if name in kept}
        return GoingOn(replay, record.origin.going_on(), await self._conversation(record), turn, echo)

    async def _conversation(self, record: TurnRecord) -> str | None:
        """Return a suspended turn's conversation, which is that of the turn that goes on with it where its request
        names none; None where it was deleted.
        """
        if record.turn.conversation is None:
            return None
        try:
            await self._histories.check_conversation(record.turn.conversation)
        except ApiError:
            return None
        return record.turn.conversation


def _accepted(
    turn_id: str,
    request: CreateRequest,
    target: Target,
    going_on: GoingOn,
    *,
    origin: Origin,
    parent: Parent | None,
    keep_history: bool,
) -> AcceptedTurn:
    """Return what the record of a turn of the current caller begins with."""
    asked = going_on.turn or request
    return AcceptedTurn(
        turn=Turn(
            id=turn_id,
            agent=target.agent,
            input=request.input,
            instructions=asked.instructions,
            tools=asked.tools,
            parameters=asked.parameters,
            conversation=request.conversation or going_on.conversation,
        ),
        framework=target.framework,
        pool=target.pool,
        revision=target.revision,
        implicit=target.implicit,
        owner=caller(),
        request={**going_on.echo, **request.echo, **going_on.held},
        previous_response_id=request.previous_response_id,
        background=request.background,
        store=request.store,
        trace=_trace(),
        replay=going_on.replay,
        origin=origin,
        parent=parent,
        keep_history=keep_history,
    )


def _terms(
    request: CreateRequest, target: Target, going_on: GoingOn, idempotency_key: str | None, sdk_try: int | None
) -> Terms:
    """Return the terms on which the queue takes a turn."""
    return Terms(
        strategy=request.multitask_strategy or target.multitask_strategy,
        agent_limit=target.queue_limit,
        idempotency_key=idempotency_key,
        sdk_try=sdk_try,
        # Servers of other versions echo more of what the turn was asked that it goes on with, or less.
        asked=request.echo if going_on.replay else None,
    )


def _trace() -> dict[str, str]:
    """Return the caller's trace, for the worker to go on with (https://www.w3.org/TR/trace-context/)."""
    trace: dict[str, str] = {}
    propagate.inject(trace)
    return trace
