"""The agents a worker has imported, by id; each is imported anew when its definition or code changed."""

import asyncio

from k8gentai.agents.definition import implicit_agent
from k8gentai.agents.registry import Registry
from k8gentai.agents.turn import Adapter, AgentLoadError, LoadedAgent
from k8gentai.workers.record import AcceptedTurn


class LoadedAgents:
    """The agents of one framework.

    Args:
        registry: where definitions come from, and nowhere else.
        adapter: the framework's.
    """

    def __init__(self, registry: Registry, adapter: Adapter) -> None:
        self._registry = registry
        self._adapter = adapter
        self._loaded: dict[str, tuple[str, LoadedAgent]] = {}
        self._loading = asyncio.Lock()

    async def warm(self) -> list[tuple[str, AgentLoadError]]:
        """Import every agent of the framework before there is work for it. Returns those that cannot be."""
        failed = []
        for agent in self._registry.list():
            if agent.framework == self._adapter.framework and agent.state == "ready":
                try:
                    await self._registered(agent.id)
                except AgentLoadError as error:
                    failed.append((agent.id, error))
        return failed

    async def for_turn(self, accepted: AcceptedTurn) -> LoadedAgent:
        """The agent a turn is for.

        Raises:
            AgentLoadError: it cannot be imported, or was taken out of the registry.
        """
        if accepted.implicit:
            return self._adapter.load(implicit_agent(accepted.turn.agent))
        return await self._registered(accepted.turn.agent)

    async def _registered(self, agent_id: str) -> LoadedAgent:
        agent = self._registry.get(agent_id)
        if agent is None:
            raise AgentLoadError(f"agent {agent_id} is no longer registered")
        if agent.definition is None or agent.state != "ready":
            raise AgentLoadError(agent.error or f"agent {agent_id} is broken", agent.file)
        async with self._loading:
            digest, loaded = self._loaded.get(agent_id, (None, None))
            if loaded is None or digest != agent.digest:
                # Importing may take seconds, and other turns go on meanwhile.
                loaded = await asyncio.to_thread(self._adapter.load, agent.definition)
                self._loaded[agent_id] = (agent.digest, loaded)
        return loaded
