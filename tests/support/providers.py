"""The providers floor without processes: turns kept in memory in place of Redis; the host's own SQL store on
a file, its own conversations, and our routes in a FastAPI application."""

import asyncio
import time
import warnings
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
from fastapi import FastAPI
from llama_stack.core.conversations.conversations import ConversationServiceConfig, ConversationServiceImpl
from llama_stack.core.datatypes import StackConfig
from llama_stack.core.storage.sqlstore.sqlstore import register_sqlstore_backends, shutdown_sqlstore_backends
from llama_stack_api import Model, ModelType

from k8gentai.agents.contract import events as ev
from k8gentai.agents.contract.turn import Item, Turn
from k8gentai.agents.registry.registry import RegisteredAgent, write_registry
from k8gentai.agents.resources.agent import AgentDefinition
from k8gentai.providers.agents_api.service import AgentsService
from k8gentai.providers.host.access import acting_as
from k8gentai.providers.http import MAX_BODY_BYTES
from k8gentai.providers.requests.compaction import is_compaction
from k8gentai.providers.responses_api.service import ResponsesService
from k8gentai.providers.server.config import AmfConfig
from k8gentai.providers.server.server import Queue, Server
from k8gentai.providers.turns.conversation_items import ConversationItems
from k8gentai.providers.turns.history import Histories
from k8gentai.providers.turns.reader import TurnReader
from k8gentai.providers.turns.settler import Settler
from k8gentai.providers.turns.store import ResponseStore
from k8gentai.workers.queue.admission import (
    ConversationBusyError,
    IdempotencyConflictError,
    QueueFullError,
    Terms,
)
from k8gentai.workers.queue.grants import Parent
from k8gentai.workers.queue.record import ENDED, AcceptedTurn, Owner, Status, TurnRecord
from k8gentai.workers.queue.status import LiveWorker, Workers
from k8gentai.workers.queue.turns import TurnNotFoundError
from tests.support.host_apis import HostApis

STATUS_OF_END: dict[type, Status] = {
    ev.TurnCompleted: "completed",
    ev.TurnIncomplete: "incomplete",
    ev.TurnFailed: "failed",
    ev.TurnSuspended: "suspended",
    ev.TurnCancelled: "cancelled",
}


class MemoryTurns:
    """``Turns`` and ``FinishedTurns`` without Redis. A test plays the worker with :meth:`append`."""

    def __init__(self) -> None:
        self.records: dict[str, TurnRecord] = {}
        self.kept: dict[str, list[ev.Event]] = defaultdict(list)
        self.changed = asyncio.Condition()
        self.ended: asyncio.Queue[str] = asyncio.Queue()
        self.keys: dict[str, tuple[str, Any]] = {}
        self.terms: list[Terms] = []
        self.children: dict[str, list[str]] = {}
        self.full = False
        self.busy: str | None = None
        self.away: Exception | None = None
        self.has_lost_all = False
        self.rolled_back: dict[str, TurnRecord] = {}

    async def append(self, turn_id: str, *events: ev.Event) -> None:
        record = self.records[turn_id]
        async with self.changed:
            for event in events:
                self.kept[turn_id].append(event)
                if isinstance(event, ev.TurnStarted):
                    record.status = "running"
                if isinstance(event, ev.TurnEnd):
                    record.status = STATUS_OF_END[type(event)]
                    record.ended_at = record.accepted_at + 2
                    self.ended.put_nowait(turn_id)
            self.changed.notify_all()

    async def play(self, *events: ev.Event) -> str:
        """Append to the turn that waits, as soon as one does. Returns its id."""

        def waiting() -> list[str]:
            return [id_ for id_, record in self.records.items() if record.status == "queued" and self.kept[id_]]

        async with self.changed:
            await self.changed.wait_for(waiting)
        (turn_id,) = waiting()
        await self.append(turn_id, *events)
        return turn_id

    async def accept(
        self,
        accepted: AcceptedTurn,
        load_history: Callable[[], Awaitable[list[Item]]],
        terms: Terms,
    ) -> str:
        self._answer()
        self.terms.append(terms)
        if self.full:
            raise QueueFullError(accepted.turn.agent, 3, 7)
        if self.busy:
            raise ConversationBusyError(self.busy)
        idempotency_key = terms.idempotency_key
        asked = accepted.request if terms.asked is None else terms.asked
        if idempotency_key in self.keys:
            turn_id, request = self.keys[idempotency_key]
            if request != asked:
                raise IdempotencyConflictError(idempotency_key)
            return turn_id
        record = TurnRecord.model_validate(
            {**accepted.model_dump(), "status": "queued", "accepted_at": time.time()}
        )
        record.turn.history = await load_history()
        self.records[accepted.turn.id] = record
        if idempotency_key:
            self.keys[idempotency_key] = accepted.turn.id, asked
        await self.append(accepted.turn.id, ev.TurnAccepted())
        return accepted.turn.id

    async def get(self, turn_id: str) -> TurnRecord:
        self._answer()
        if turn_id not in self.records:
            raise TurnNotFoundError(turn_id)
        return self.records[turn_id].model_copy()

    async def events(self, turn_id: str, after: int = 0) -> list[tuple[int, ev.Event]]:
        return list(enumerate(self.kept[turn_id], 1))[after:]

    async def follow(self, turn_id: str, after: int = 0) -> AsyncIterator[tuple[int, ev.Event]]:
        while True:
            self._answer()
            if turn_id not in self.kept:
                raise TurnNotFoundError(turn_id)
            for seq, event in await self.events(turn_id, after):
                after = seq
                yield seq, event
                if isinstance(event, ev.TurnEnd):
                    return
            async with self.changed:
                await self.changed.wait_for(partial(self._is_news, turn_id, after))
            if turn_id not in self.kept:
                raise TurnNotFoundError(turn_id)

    def _is_news(self, turn_id: str, after: int) -> bool:
        return turn_id not in self.kept or len(self.kept[turn_id]) > after or self.away is not None

    async def roll_back(self, turn_id: str, *, settled: bool) -> None:
        """End a turn as the next of its conversation does that wants it forgotten.

        Args:
            turn_id: the turn.
            settled: whether its events are gone, too.
        """
        await self.cancel(turn_id)
        self.rolled_back[turn_id] = self.records.pop(turn_id)
        async with self.changed:
            if settled:
                del self.kept[turn_id]
            self.changed.notify_all()

    async def lost(self, record: TurnRecord) -> bool:
        return self.has_lost_all

    async def now(self) -> float:
        return time.time()

    async def parent(self, header: str) -> Parent | None:
        """What a header vouches for: here the id of a turn does."""
        return Parent(turn_id=header, depth=0, tokens=0, deadline=0) if header in self.records else None

    async def cancel(self, turn_id: str) -> Status:
        status = (await self.get(turn_id)).status
        if status not in ENDED or status == "suspended":
            await self.append(turn_id, ev.TurnCancelled())
        return status

    async def unsettled(self, owner: Owner | None) -> list[str]:
        self._answer()
        return sorted(
            (id_ for id_, each in self.records.items() if not each.settled and each.owner == owner), reverse=True
        )

    async def in_conversation(self, conversation: str) -> list[str]:
        return sorted(
            id_
            for id_, each in self.records.items()
            if not each.settled and each.turn.conversation == conversation
        )

    async def to_join_before(self, turn: Turn) -> list[str]:
        lane = await self.in_conversation(str(turn.conversation))
        return [id_ for id_ in lane if id_ < turn.id and self.records[id_].status in ENDED]

    async def with_children(self, turn_id: str) -> list[str]:
        return [turn_id, *self.children.get(turn_id, [])]

    async def delete(self, turn_id: str) -> list[str]:
        found = await self.with_children(turn_id)
        for each in found:
            await self.cancel(each)
            del self.records[each]
        return found

    async def ids(self) -> AsyncIterator[str]:
        while True:
            yield await self.ended.get()

    def put_off(self, turn_id: str) -> None:
        """Nothing gives a turn out again here."""

    async def settled(
        self,
        turn_id: str,
        load_history: Callable[[TurnRecord], Awaitable[list[Item]]],
        written: Status | None = None,
    ) -> bool:
        record = self.records.get(turn_id)
        if record and written in (None, record.status):
            record.settled = True
            if record.status == "completed" and not is_compaction(record):
                record.turn = record.turn.model_copy(update={"history": []})
        return record is None or record.settled

    def _answer(self) -> None:
        if self.away:
            raise self.away


class MemoryPositions:
    """``Positions`` without Redis."""

    def __init__(self) -> None:
        self._next: dict[str, int] = {}
        self._of_turns: dict[str, int] = {}

    async def place(self, conversation: str, count: int, *, least: int, turn_id: str = "") -> int:
        if turn_id in self._of_turns:
            return self._of_turns[turn_id]
        first = max(self._next.get(conversation, 0), least)
        self._next[conversation] = first + count
        if turn_id:
            self._of_turns[turn_id] = first
        return first


class MemoryPools:
    """``Pools`` without Redis."""

    def __init__(self) -> None:
        self.cannot_import: dict[str, str] = {}
        """Why no worker can import the agent, by workers."""

    async def waiting(self) -> dict[str, int]:
        return {"math": 2}

    async def workers(self) -> Workers:
        return Workers([LiveWorker("langgraph")])

    async def unable(self, framework: str, agent_id: str) -> dict[str, str]:
        return self.cannot_import if agent_id == "math" else {}


class Models:
    """The host's Models API: what is served, and what an endpoint that was away serves when asked again."""

    def __init__(self) -> None:
        self.listed = [_model("openai/gpt-4o"), _model("amf/math")]
        self.after_refresh: list[Any] = []
        self.updates: list[tuple[str, list[Any]]] = []

    async def list_models(self) -> Any:
        return SimpleNamespace(data=self.listed)

    async def refresh(self) -> None:
        self.listed += self.after_refresh
        self.after_refresh = []

    async def update_registered_models(self, provider_id: str, models: list[Any]) -> None:
        self.updates.append((provider_id, models))


def _model(identifier: str, kind: str = "llm") -> Any:
    provider_id, _, name = identifier.partition("/")
    return Model(
        identifier=identifier, provider_resource_id=name, provider_id=provider_id, model_type=ModelType(kind)
    )


def model(identifier: str, kind: str = "llm") -> Any:
    """A model as the host lists it."""
    return _model(identifier, kind)


def agent(name: str, error: str | None = None, **spec: Any) -> RegisteredAgent:
    """An agent of the registry, with these fields of its definition's ``spec``."""
    definition = AgentDefinition.model_validate(
        {
            "apiVersion": "kagent.dev/v1alpha1",
            "kind": "Agent",
            "metadata": {"name": name},
            "spec": {"framework": "langgraph", "description": f"Does {name}.", **spec},
        }
    )
    return RegisteredAgent(
        id=name,
        framework="langgraph",
        state="broken" if error else "ready",
        error=error,
        file=f"{name}.yaml",
        digest="0",
        definition=definition,
    )


def _conversations(directory: Path, policy: list[Any]) -> Any:
    """The host's own, with its SQL backend on a file."""
    backends = {
        "kv_default": {"type": "kv_sqlite", "db_path": str(directory / "kv.db")},
        "sql_default": {"type": "sql_sqlite", "db_path": str(directory / "sql.db")},
    }
    with warnings.catch_warnings():
        # The host warns of fields of its own making.
        warnings.simplefilter("ignore", DeprecationWarning)
        config = StackConfig.model_validate(
            {"version": 2, "distro_name": "test", "providers": {}, "storage": {"backends": backends}}
        )
        register_sqlstore_backends({"sql_default": config.storage.backends["sql_default"]})
        return ConversationServiceImpl(ConversationServiceConfig(config=config, policy=policy), {})


@dataclass(frozen=True)
class Floor:
    """One server's worth of the floor, over memory and a file. :func:`floor` makes one."""

    server: Server
    turns: MemoryTurns
    pools: MemoryPools
    models: Models
    apis: HostApis
    conversations: Any
    registry_path: Path

    @property
    def service(self) -> ResponsesService:
        return self.server.responses

    @property
    def agents(self) -> AgentsService:
        return self.server.agents

    @property
    def items(self) -> ConversationItems:
        return self.server.items

    @property
    def histories(self) -> Histories:
        return self.server.histories

    @property
    def reader(self) -> TurnReader:
        return self.server.reader

    @property
    def settler(self) -> Settler:
        return self.server.settler

    @property
    def store(self) -> ResponseStore:
        return self.server.stores.responses

    async def settle(self) -> None:
        """Settle what has ended."""
        while not self.turns.ended.empty():
            await self.settler.settle(self.turns.ended.get_nowait())


@asynccontextmanager
async def floor(
    directory: Path, policy: list[Any] | None = None, *, without: str | None = None
) -> AsyncIterator[Floor]:
    """A floor, and its database closed at the end.

    Args:
        directory: for its database and registry.
        policy: access rules.
        without: an API that the host has not.
    """
    rules = policy or []
    registry_path = directory / "registry.json"
    write_registry(registry_path, [agent("math"), agent("sick", "sick.py:3: no module named 'foo'")])
    turns, pools, models, apis = MemoryTurns(), MemoryPools(), Models(), HostApis()
    if without is not None:
        setattr(apis, without, None)
    conversations = _conversations(directory, rules)
    config = AmfConfig(redis_url="redis://localhost:1", registry=registry_path)
    parts: Any = turns, turns, MemoryPositions(), pools
    server = await Server.build(config, apis.deps(models, conversations), rules, Queue(*parts))
    made = Floor(server, turns, pools, models, apis, conversations, registry_path)
    await conversations.initialize()
    try:
        yield made
    finally:
        await made.settler.stop()
        await made.server.stop()
        await shutdown_sqlstore_backends()


@asynccontextmanager
async def client_of(served: Floor, user: Owner | None = None) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of the routes, which sees every request come from ``user``."""
    app = FastAPI()
    for front in served.server.routers(MAX_BODY_BYTES):
        app.include_router(front)

    async def as_user(scope: Any, receive: Any, send: Any) -> None:
        with acting_as(user):
            await app(scope, receive, send)

    transport = httpx.ASGITransport(as_user)
    async with httpx.AsyncClient(transport=transport, base_url="http://stack") as client:
        yield client
