"""What one server process holds, put together; and what runs in its background."""

import asyncio
from typing import Any

from redis.asyncio import Redis

from k8gentai.agents.registry.registry import Registry
from k8gentai.providers.agents_api.service import AgentsService
from k8gentai.providers.host.agent_models import keep_listed
from k8gentai.providers.host.indexes import create_indexes
from k8gentai.providers.host.server_log import tame_host_logs
from k8gentai.providers.host.shutdown import when_stopping
from k8gentai.providers.responses_api.service import ResponsesService
from k8gentai.providers.turns.conversation_items import ConversationItems
from k8gentai.providers.turns.reader import TurnReader
from k8gentai.providers.turns.settler import Settler
from k8gentai.providers.worker_api.services import StackServices


class Server:
    """The services and their background work.

    Args:
        service: what the routes of the Responses API call.
        agents: what those of the Agents API call.
        services: what those of our workers call.
        items: what those of conversations call.
        reader: what both wait with.
        settler: settles finished turns.
        registry: the agents.
        models: the host's Models API.
        provider_id: the id under which agents are listed as models.
        redis: closed at the end.
    """

    def __init__(
        self,
        service: ResponsesService,
        agents: AgentsService,
        services: StackServices,
        items: ConversationItems,
        reader: TurnReader,
        settler: Settler,
        registry: Registry,
        models: Any,
        provider_id: str,
        redis: Redis,
    ) -> None:
        self.service = service
        self.agents = agents
        self.services = services
        self.items = items
        self._reader = reader
        self._settler = settler
        self._registry = registry
        self._models = models
        self._provider_id = provider_id
        self._redis = redis
        self._tasks: list[asyncio.Task[None]] = []

    def listed(self, model: str) -> str:
        """Return the name by which the host lists what a request's ``model`` names: an agent's has a prefix."""
        return f"{self._provider_id}/{model}" if self._registry.get(model) else model

    async def open(self) -> None:
        """Get ready to serve in the running event loop."""
        tame_host_logs()
        await self.service.open()
        await self.items.open()
        self.start()

    def start(self) -> None:
        """Begin the background work in the running event loop; a second call changes nothing."""
        self._settler.start()
        if not self._tasks:
            self._tasks = [
                asyncio.create_task(create_indexes([self.service.indexes, self.items.indexes])),
                asyncio.create_task(keep_listed(self._registry, self._models, self._provider_id)),
                asyncio.create_task(when_stopping(self._reader.stop_waiting)),
            ]

    async def stop(self) -> None:
        """End it and close the connections to Redis."""
        await self._settler.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        await self.services.close()
        await self._redis.aclose()
