"""Accepts turns: every way of asking for one, of whichever API, comes through here."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import structlog
from opentelemetry import propagate

from k8gentai.agents.adapters.base.parameters import asks_nothing, unsupported
from k8gentai.agents.adapters.base.request_parts import file_parts
from k8gentai.agents.contract.turn import Item, Turn
from k8gentai.providers.errors import MODEL_NOT_FOUND, ApiError, agent_gone, invalid
from k8gentai.providers.host.access import acting_as, caller
from k8gentai.providers.ids import new_turn_id
from k8gentai.providers.requests.answer_formats import check_schema
from k8gentai.providers.requests.compaction import summary_request
from k8gentai.providers.requests.input_items import check_outputs
from k8gentai.providers.requests.referenced import Lookups
from k8gentai.providers.requests.request import CreateRequest, read_request
from k8gentai.providers.requests.targets import Resolver, Target
from k8gentai.providers.requests.tool_choices import check_tool_choice
from k8gentai.providers.turns.continuation import (
    asking_turn,
    check_is_asked_here,
    continued,
    first_seen,
    next_part,
    unknown_request,
)
from k8gentai.providers.turns.history import Histories
from k8gentai.providers.turns.reader import TurnReader
from k8gentai.workers.queue.admission import ParentEndedError, Terms
from k8gentai.workers.queue.grants import PARENT_HEADER, Parent
from k8gentai.workers.queue.record import AcceptedTurn, ClassicPart, Replay, TurnRecord
from k8gentai.workers.queue.turns import TurnNotFoundError, Turns

log = structlog.get_logger(__name__)

_CREDENTIALS = ("authorization", "headers")
"""What of an MCP server's tool may be another where a turn goes on."""


class Acceptor:
    """Accepts turns for the current caller.

    Args:
        turns: turns in Redis.
        reader: reads them for the caller.
        resolver: finds what ``model`` names.
        histories: what a turn's agent sees before its input.
        lookups: finds what else it names.
    """

    def __init__(
        self, turns: Turns, reader: TurnReader, resolver: Resolver, histories: Histories, lookups: Lookups
    ) -> None:
        self._turns = turns
        self._reader = reader
        self._resolver = resolver
        self._histories = histories
        self._lookups = lookups

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

    async def accept(
        self,
        body: Any,
        idempotency_key: str | None = None,
        sdk_try: int | None = None,
        classic: Callable[[str], ClassicPart] | None = None,
        parent: Parent | None = None,
        compaction: bool = False,
    ) -> tuple[TurnRecord, CreateRequest]:
        """Accept a turn.

        Args:
            body: the request's JSON.
            idempotency_key: a name the client gave the request; the same one gives the same turn.
            sdk_try: which try of the request this is, from 0, where the client's SDK says so; a later one
                gives the turn of the one before.
            classic: given the turn's id, says what it is to the classic Agents API that it came through.
            parent: the turn whose tool call asks for this one, from :meth:`on_behalf`.
            compaction: it sums up its history and input.

        Returns:
            The turn as it was accepted, for whoever waits for it: it may be gone again before it is read, rolled
            back by the conversation's next. And the request as it was read.

        Raises:
            ApiError: the request is wrong; nothing was accepted.
            QueueFullError, ConversationBusyError, IdempotencyConflictError, ParentEndedError: the same.
            redis.exceptions.ConnectionError, redis.exceptions.TimeoutError: Redis is away.
        """
        turn_id = new_turn_id()
        request = read_request(turn_id, body)
        given = request.input
        await check_schema((request.parameters.get("text") or {}).get("format") or {})
        target = await self._target(request)
        _check_parameters(request.parameters, target)
        request = await self._lookups.complete(turn_id, request, target.framework)
        _check_parts(request, target)
        if request.conversation:
            await self._histories.check_conversation(request.conversation)
        going_on = await self._continued(request, target.agent, parent)
        if going_on.turn is None:
            check_tool_choice(request, target)
        asked = going_on.turn or request
        accepted = AcceptedTurn(
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
            implicit=target.implicit,
            owner=caller(),
            request={**going_on.echo, **request.echo, **going_on.held},
            previous_response_id=request.previous_response_id,
            background=request.background,
            store=request.store,
            trace=_trace(),
            replay=going_on.replay,
            classic=classic(turn_id) if classic else going_on.part,
            parent=parent,
            compaction=compaction,
        )
        terms = Terms(
            strategy=request.multitask_strategy or target.multitask_strategy,
            agent_limit=target.queue_limit,
            idempotency_key=idempotency_key,
            sdk_try=sdk_try,
            # Servers of other versions echo more of what the turn was asked that it goes on with, or less.
            asked=request.echo if going_on.replay else None,
        )

        async def history() -> list[Item]:
            before = await self._histories.before(accepted)
            if not (classic or going_on.replay):
                check_outputs(given, before)
            return before

        kept = await self._turns.accept(accepted, history, terms)
        log.info("turn_accepted", turn=kept, agent=target.agent, framework=target.framework)
        turn = accepted.turn.model_copy(update={"id": kept})
        return TurnRecord(**{**dict(accepted), "turn": turn}, status="queued"), request

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
        record, _ = await self.accept(request, idempotency_key, sdk_try, compaction=True)
        return record.turn.id

    async def _continued(self, request: CreateRequest, agent: str, parent: Parent | None) -> "_GoingOn":
        """Return what the request goes on with, where it answers what a suspended turn asked.

        Raises:
            ApiError: it answers what was not asked, or not of this agent, or not in the place where it was asked,
                or asks for something else than the turn.
        """
        turn_id = asking_turn(request.input)
        if turn_id is None:
            return _GoingOn()
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
        turn = _with_tools(first_seen(record), request.tools)
        _check_same(request, turn)
        record, events = await self._reader.so_far(record)
        replay = continued(record, events, request.input, await self._turns.now())
        replay = replay.model_copy(update={"turn": turn})
        kept = ("instructions", *turn.parameters)
        echo = {name: value for name, value in record.request.items() if name in kept}
        return _GoingOn(replay, next_part(record), await self._conversation(record), turn, echo)

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


@dataclass(frozen=True)
class _GoingOn:
    """What a turn goes on with, where it answers what a suspended one asked."""

    replay: Replay | None = None
    part: ClassicPart | None = None
    """What it is to the classic Agents API."""
    conversation: str | None = None
    turn: Turn | None = None
    """The turn as its agent first saw it: what it asks holds to its end."""
    echo: dict[str, Any] = field(default_factory=dict)
    """What a response repeats of that."""

    @property
    def held(self) -> dict[str, Any]:
        """What of it holds, whatever the answer says that asks for nothing."""
        return {name: value for name, value in self.echo.items() if not asks_nothing(name, value)}


def _check_same(request: CreateRequest, turn: Turn) -> None:
    """See that a request which answers a question asks nothing that the turn, which goes on, does not.

    Raises:
        ApiError: it does; naming the parameter (400).
    """
    given = {**request.parameters, **({"instructions": request.instructions} if request.instructions else {})}
    known = {**turn.parameters, "instructions": turn.instructions}
    for name, value in given.items():
        if _plain(known.get(name)) != (asked := _plain(value)) and not asks_nothing(name, asked):
            message = f"'{name}': the turn goes on as its first request asked: leave it out, or repeat it."
            raise invalid(message, name, "unsupported_parameter")
    tools = {_without_credentials(tool) for tool in turn.tools}
    for index, tool in enumerate(request.tools):
        if _without_credentials(tool) not in tools:
            message = f"'tools[{index}]': the turn goes on with the tools of its first request."
            raise invalid(message, f"tools[{index}]", "unsupported_parameter")


def _with_tools(turn: Turn, tools: list[dict[str, Any]]) -> Turn:
    """Return a turn with the credentials that a request brings for MCP servers of the turn's: those that it had
    may have expired while it waited."""
    brought = {_without_credentials(tool): _credentials(tool) for tool in tools if tool.get("type") == "mcp"}
    return turn.model_copy(
        update={"tools": [{**tool, **brought.get(_without_credentials(tool), {})} for tool in turn.tools]}
    )


def _credentials(tool: dict[str, Any]) -> dict[str, Any]:
    """Return those that come with a tool: a response shows it without."""
    return {name: tool[name] for name in _CREDENTIALS if tool.get(name) is not None}


def _without_credentials(tool: dict[str, Any]) -> str:
    """Return what tells a tool from others, as JSON: all but its credentials."""
    asked = {name: value for name, value in _plain(tool).items() if name not in _CREDENTIALS}
    return json.dumps(asked, sort_keys=True)


def _plain(value: Any) -> Any:
    """Return a value of JSON without the fields that are null: they ask as much as those that are left out."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items() if part is not None}
    return [_plain(part) for part in value] if isinstance(value, list) else value


def _check_parameters(parameters: dict[str, Any], target: Target) -> None:
    """See that the agent can do what the request asks.

    Raises:
        ApiError: it cannot; naming the parameter (400).
    """
    if target.framework == "llama-stack":
        return
    if place := unsupported(parameters, declarative=target.declarative):
        kind = "a declarative agent" if target.declarative else "an agent with code of its own"
        message = f"'{place}' cannot be asked of '{target.agent}', {kind} of {target.framework}: leave it out."
        raise invalid(message, place, "unsupported_parameter")


def _check_parts(request: CreateRequest, target: Target) -> None:
    """See that the agent takes what comes with the request.

    Raises:
        ApiError: it does not; naming the first such part (400).
    """
    if "tools" in target.refuses and request.tools:
        message = f"'tools': '{target.agent}' has the tools of its code, and takes none of a request."
        raise invalid(message, "tools", "unsupported_parameter")
    for index, tool in enumerate(request.tools):
        place, kind, name = f"tools[{index}]", tool.get("type"), tool.get("name")
        if target.framework != "llama-stack" and kind != "function":
            message = f"'{place}.type': agents of {target.framework} take functions, and no {kind}."
            raise invalid(message, f"{place}.type", "unsupported_parameter")
        if kind == "function" and name in target.tools:
            # A call of that name would be the client's to make, and the agent's own.
            message = f"'{place}.name': '{target.agent}' itself has a tool '{name}'."
            raise invalid(message, f"{place}.name")
    if "files" in target.refuses:
        for place, part in file_parts(request.input):
            message = f"'{place}': '{target.agent}' takes text alone, and no {part['type']}."
            raise invalid(message, place, "unsupported_parameter")


def _trace() -> dict[str, str]:
    """Return the caller's trace, for the worker to go on with (https://www.w3.org/TR/trace-context/)."""
    trace: dict[str, str] = {}
    propagate.inject(trace)
    return trace
