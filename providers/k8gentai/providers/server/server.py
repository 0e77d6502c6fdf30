"""Builds one server out of its parts, and runs what goes on in its background."""

import asyncio
import os
import secrets
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

from fastapi import APIRouter
from redis.asyncio import Redis

from k8gentai.agents.registry.registry import Registry
from k8gentai.providers import host
from k8gentai.providers.agents_api import routes as agents_routes
from k8gentai.providers.agents_api.directory import Directory
from k8gentai.providers.agents_api.service import AgentsService
from k8gentai.providers.agents_api.sessions import Sessions
from k8gentai.providers.agents_api.store import AgentStore
from k8gentai.providers.agents_api.toolgroups import Toolgroups
from k8gentai.providers.host.access import Access
from k8gentai.providers.host.agent_models import keep_listed
from k8gentai.providers.host.indexes import create_indexes
from k8gentai.providers.host.server_log import tame_host_logs
from k8gentai.providers.host.shutdown import when_stopping
from k8gentai.providers.overrides import conversations as conversations_routes
from k8gentai.providers.requests.guardrails import Guardrails
from k8gentai.providers.requests.referenced import Lookups
from k8gentai.providers.requests.stack_apis import StackApis
from k8gentai.providers.requests.targets import Resolver
from k8gentai.providers.responses_api import routes as responses_routes
from k8gentai.providers.responses_api.service import ResponsesService
from k8gentai.providers.server.config import AmfConfig
from k8gentai.providers.turns.acceptor import Acceptor
from k8gentai.providers.turns.conversation_items import ConversationItems
from k8gentai.providers.turns.history import Histories
from k8gentai.providers.turns.reader import TurnReader
from k8gentai.providers.turns.settler import OnSettled, Settler
from k8gentai.providers.turns.store import ResponseStore
from k8gentai.providers.worker_api import routes as worker_routes
from k8gentai.providers.worker_api.services import StackServices
from k8gentai.workers.queue.connection import connect
from k8gentai.workers.queue.finished_turns import FinishedTurns
from k8gentai.workers.queue.positions import Positions
from k8gentai.workers.queue.registry_store import followed_store_at
from k8gentai.workers.queue.status import Pools
from k8gentai.workers.queue.turns import Turns


@dataclass(frozen=True)
class Queue:
    """The queue as servers and workers share it: turns, the positions of conversations' items, and who runs
    turns."""

    turns: Turns
    finished: FinishedTurns
    """The ended turns that this server settles."""
    positions: Positions
    pools: Pools

    @classmethod
    def in_redis(cls, redis: Redis, config: AmfConfig) -> Self:
        """Return what a Redis keeps."""
        turns = Turns(redis, queue_limit=config.queue_limit, keep_seconds=config.keep_seconds)
        name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"
        return cls(
            turns,
            FinishedTurns(redis, turns, name, keep_seconds=config.keep_seconds),
            Positions(redis, keep_seconds=config.keep_seconds),
            Pools(redis),
        )


@dataclass(frozen=True)
class Stores:
    """The parts of the host's SQL store that we keep things in."""

    responses: ResponseStore
    agents: AgentStore

    @classmethod
    async def declare(cls, backend: str, policy: list[Any]) -> Self:
        """Declare the tables.

        Args:
            backend: a name in the run YAML's ``storage.backends``.
            policy: access rules.
        """
        return cls(await ResponseStore.declare(backend, policy), await AgentStore.declare(backend, policy))


@dataclass(frozen=True)
class Front:
    """An API of the server."""

    create_router: Callable[[int], APIRouter]
    """Takes how large a request may be, in bytes."""
    on_settled: OnSettled | None = None


class Server:
    """The services of one server and their background work. :meth:`build` makes one.

    Args:
        config: the provider's.
        deps: the host's APIs.
        access: the access policy: who may do what.
        queue: shared with workers.
        stores: the host's SQL store.
        guardrails: the guardrails that there are.
        opened: what was opened for these parts. The server takes it over, to close it last first.
    """

    def __init__(
        self,
        config: AmfConfig,
        deps: dict[Any, Any],
        access: Access,
        queue: Queue,
        stores: Stores,
        guardrails: Guardrails,
        opened: AsyncExitStack,
    ) -> None:
        self._tasks: list[asyncio.Task[None]] = []
        self._models = deps[host.Api.models]
        self._provider_id = config.models_provider_id
        self._registry = Registry(followed_store_at(config.registry, config.redis_url))
        turns, apis, conversations = queue.turns, StackApis.of(deps), deps[host.Api.conversations]

        self.items = ConversationItems(conversations, queue.positions)
        self.histories = Histories(turns, stores.responses, self.items, access)
        self.reader = TurnReader(turns, access)
        resolver = Resolver(self._registry, self._models, access, self._provider_id)
        lookups = Lookups(apis, guardrails)
        acceptor = Acceptor(turns, self.reader, resolver, self.histories, lookups, queue.pools)

        self.responses = ResponsesService(turns, self.reader, stores.responses, self.histories, acceptor)
        sessions = Sessions(turns, self.reader, stores.agents, self.responses, conversations)
        directory = Directory(self._registry, stores.agents, access, queue.pools, self._provider_id)
        toolgroups = Toolgroups(apis.connectors)
        self.agents = AgentsService(
            acceptor, self.reader, resolver, directory, sessions, toolgroups, stores.agents
        )
        services = StackServices(apis, guardrails)

        self._fronts = (
            Front(partial(responses_routes.create_router, self.responses)),
            Front(partial(agents_routes.create_router, self.agents), sessions.settled),
            Front(partial(worker_routes.create_router, services, acceptor)),
            Front(partial(conversations_routes.create_router, self.items)),
        )
        on_settled = [front.on_settled for front in self._fronts if front.on_settled is not None]
        self.settler = Settler(turns, queue.finished, stores.responses, self.histories, on_settled)
        self.stores = stores
        self._closing = opened.pop_all()

    @classmethod
    async def build(
        cls, config: AmfConfig, deps: dict[Any, Any], policy: list[Any], queue: Queue | None = None
    ) -> Self:
        """Build a server, which serves once it was opened.

        Args:
            config: the provider's, of the run YAML.
            deps: the APIs that the host hands the provider.
            policy: access rules.
            queue: the parts that are shared with workers; by default those in the Redis that ``config`` names.
        """
        async with AsyncExitStack() as opened:
            if queue is None:
                redis = connect(config.redis_url)
                opened.push_async_callback(redis.aclose)
                queue = Queue.in_redis(redis, config)
            guardrails = Guardrails(StackApis.of(deps).safety, config.moderation())
            opened.push_async_callback(guardrails.close)
            stores = await Stores.declare(config.sql_backend, policy)
            return cls(config, deps, Access(policy), queue, stores, guardrails, opened)

    def routers(self, max_body_bytes: int) -> list[APIRouter]:
        """Return the routes of all fronts.

        Args:
            max_body_bytes: the bytes that a request may have.
        """
        return [front.create_router(max_body_bytes) for front in self._fronts]

    def listed(self, model: str) -> str:
        """Return the name by which the host lists what a request's ``model`` names: an agent's has a prefix."""
        return f"{self._provider_id}/{model}" if self._registry.get(model) else model

    async def open(self) -> None:
        """Get ready to serve in the running event loop."""
        tame_host_logs()
        await self.responses.open()
        await self.items.open()
        self.start()

    def start(self) -> None:
        """Begin the background work in the running event loop; a second call changes nothing."""
        if self._tasks:
            return
        self._tasks = [
            asyncio.create_task(create_indexes([self.responses.indexes, self.items.indexes])),
            asyncio.create_task(keep_listed(self._registry, self._models, self._provider_id)),
            asyncio.create_task(when_stopping(self.reader.stop_waiting)),
        ]
        self._closing.push_async_callback(self._cancel_tasks)
        self.settler.start()
        self._closing.push_async_callback(self.settler.stop)

    async def stop(self) -> None:
        """End the background work, and close the connections that the server opened."""
        await self._closing.aclose()

    async def _cancel_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
