"""The agents a worker has imported, by id; each is imported anew when its definition or code changed."""

import asyncio
from dataclasses import dataclass

from k8gentai.agents.definition import AgentDefinition, implicit_agent
from k8gentai.agents.registry import Registry
from k8gentai.agents.tools.declared import load_functions
from k8gentai.agents.tools.policies import check_policies, found_tools
from k8gentai.agents.turn import Adapter, AgentLoadError, DeclaredTool, FoundTools, LoadedAgent
from k8gentai.workers.record import AcceptedTurn


@dataclass(frozen=True)
class ReadyAgent:
    """An agent that was imported, with the functions that its definition names as tools."""

    agent: LoadedAgent
    functions: list[DeclaredTool]
    found: FoundTools
    """The tools that it was found to have."""


class LoadedAgents:
    """The agents of one framework.

    Args:
        registry: where definitions come from, and nowhere else.
        adapter: the framework's.
    """

    def __init__(self, registry: Registry, adapter: Adapter) -> None:
        self._registry = registry
        self._adapter = adapter
        self._loaded: dict[str, tuple[str, ReadyAgent]] = {}
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

    async def for_turn(self, accepted: AcceptedTurn) -> ReadyAgent:
        """The agent a turn is for.

        Raises:
            AgentLoadError: it cannot be imported, or was taken out of the registry.
        """
        if accepted.implicit:
            return self._load(implicit_agent(accepted.turn.agent))
        return await self._registered(accepted.turn.agent)

    def description(self, agent_id: str) -> str | None:
        """What is said of an agent, of whatever framework."""
        agent = self._registry.get(agent_id)
        return agent.definition.spec.description if agent and agent.definition else None

    async def _registered(self, agent_id: str) -> ReadyAgent:
        agent = self._registry.get(agent_id)
        if agent is None:
            raise AgentLoadError(f"agent {agent_id} is no longer registered")
        if agent.definition is None or agent.state != "ready":
            raise AgentLoadError(agent.error or f"agent {agent_id} is broken", agent.file)
        async with self._loading:
            digest, loaded = self._loaded.get(agent_id, (None, None))
            if loaded is None or digest != agent.digest:
                # Importing may take seconds, and other turns go on meanwhile.
                loaded = await asyncio.to_thread(self._load, agent.definition)
                self._loaded[agent_id] = (agent.digest, loaded)
        return loaded

    def _load(self, definition: AgentDefinition) -> ReadyAgent:
        agent, functions = self._adapter.load(definition), load_functions(definition)
        # The code may be another one than when it was registered.
        found = found_tools(self._adapter, agent)
        check_policies(definition, found)
        return ReadyAgent(agent, functions, found)
