"""Finds agents: those of the registry, and those that were created through the API.

They have one space of ids (a registered agent's id has no underscore, a created one's begins with ``agent_``), so
either can be given sessions and turns. A created agent is a declarative agent of Llama Stack's around its model,
unless it names a registered agent: by ``agent_id``, in ``metadata``, by its ``name``, or as its ``model``.
"""

from typing import Any

from k8gentai.agents.registry.registry import RegisteredAgent, Registry
from k8gentai.providers.agents_api.errors import not_found
from k8gentai.providers.agents_api.parts import as_time
from k8gentai.providers.agents_api.shapes import AgentConfig
from k8gentai.providers.agents_api.store import AgentStore, StoredAgent
from k8gentai.providers.errors import invalid
from k8gentai.providers.host.access import Access
from k8gentai.workers.queue.status import Pools, Workers

LIST_AGENTS = "GET /v1/agents lists those there are."


class Directory:
    """Finds and describes agents, as the current caller.

    Args:
        registry: the registered agents.
        store: the created ones.
        access: the host's policy.
        pools: the pools that run them.
        provider_id: the id under which registered agents are listed as models; it may prefix theirs.
    """

    def __init__(
        self, registry: Registry, store: AgentStore, access: Access, pools: Pools, provider_id: str
    ) -> None:
        self._registry = registry
        self._store = store
        self._access = access
        self._pools = pools
        self._provider_id = provider_id

    async def config(self, agent_id: str) -> AgentConfig:
        """Return the configuration of the agent of that id; a registered one's names just itself.

        Raises:
            ApiError: there is none that the caller may use (404).
        """
        if self.registered(agent_id) is not None:
            return AgentConfig(agent_id=agent_id)
        stored = await self._store.agent(agent_id)
        if stored is None:
            raise not_found("Agent", agent_id, LIST_AGENTS)
        return AgentConfig.model_validate(stored.config)

    def registered(self, name: str) -> RegisteredAgent | None:
        """Return the registered agent of that id, with or without the provider's prefix, if the caller may
        use it.
        """
        agent = self._registry.get(name.removeprefix(f"{self._provider_id}/"))
        if agent is None or not self._access.may_use_model(f"{self._provider_id}/{agent.id}"):
            return None
        return agent

    def named(self, config: AgentConfig) -> tuple[str, bool]:
        """Return what a configuration names: the ``model`` of its turns, and whether that is a registered agent.

        Raises:
            ApiError: it names a registered agent that is not there, or neither agent nor model (400).
        """
        metadata = config.metadata or {}
        for param, name in (("agent_id", config.agent_id), ("metadata.agent_id", metadata.get("agent_id"))):
            if name is not None:
                if self.registered(str(name)) is None:
                    message = f"No agent '{name}' is registered. {LIST_AGENTS}"
                    raise invalid(message, f"agent_config.{param}", "agent_not_found")
                return str(name), True
        for name in (config.name, config.model):
            if name and self.registered(name) is not None:
                return name, True
        if not config.model:
            raise invalid("'agent_config.model' is required.", "agent_config.model", "missing_required_parameter")
        return config.model, False

    async def page(self, start: int, limit: int) -> tuple[list[dict[str, Any]], bool]:
        """Return agents from number ``start`` (from 0): the registered by their ids, then the created, oldest
        first.

        Returns:
            The page, and whether more follow.
        """
        registered = [agent for agent in self._registry.list() if self.registered(agent.id)]
        missing = start + limit + 1 - len(registered)
        created = await self._store.agents(missing) if missing > 0 else []
        waiting, workers = await self._pools.waiting(), await self._pools.workers()
        found: list[RegisteredAgent | StoredAgent] = [*registered, *created]
        page = [self._described(agent, waiting, workers) for agent in found[start : start + limit]]
        return page, len(found) > start + limit

    async def describe(self, agent_id: str) -> dict[str, Any]:
        """Return what ``GET /v1/agents/{id}`` says.

        Raises:
            ApiError: there is none that the caller may see (404).
        """
        agent = self.registered(agent_id) or await self._store.agent(agent_id)
        if agent is None:
            raise not_found("Agent", agent_id, LIST_AGENTS)
        return self._described(agent, await self._pools.waiting(), await self._pools.workers())

    def _described(
        self, agent: RegisteredAgent | StoredAgent, waiting: dict[str, int], workers: Workers
    ) -> dict[str, Any]:
        if isinstance(agent, RegisteredAgent):
            shown = self._of_registry(agent)
            return {**shown, **_health(agent, agent.id, agent.pool, waiting, workers)}
        config = AgentConfig.model_validate(agent.config)
        model = config.model or ""
        behind = next((found for name in _names(config) if (found := self.registered(name))), None)
        shown = {
            "agent_id": agent.id,
            "agent_config": {"instructions": "", **agent.config},
            "created_at": as_time(agent.created_at),
            "description": behind.definition.spec.description if behind and behind.definition else "",
            "framework": behind.framework if behind else "llama-stack",
            "tools": [tool.name for tool in config.client_tools or ()],
        }
        return {
            **shown,
            **_health(behind, *((behind.id, behind.pool) if behind else (model, "llama-stack")), waiting, workers),
        }

    def _of_registry(self, agent: RegisteredAgent) -> dict[str, Any]:
        spec = agent.definition.spec if agent.definition else None
        return {
            "agent_id": agent.id,
            "agent_config": {
                "agent_id": agent.id,
                "name": agent.id,
                "model": (spec.model.name if spec else None) or agent.id,
                "instructions": (spec.system_prompt if spec else None) or "",
            },
            "created_at": as_time(self._registry.written_at()),
            "description": spec.description if spec else "",
            "framework": agent.framework,
            "tools": list(dict.fromkeys([*agent.tools, *(tool.name for tool in (spec.tools if spec else ()))])),
        }


def _names(config: AgentConfig) -> list[str]:
    """Return all names under which a configuration may mean a registered agent, the strongest first."""
    named = (config.agent_id, (config.metadata or {}).get("agent_id"), config.name, config.model)
    return [str(name) for name in named if name]


def _health(
    agent: RegisteredAgent | None, name: str, pool: str, waiting: dict[str, int], workers: Workers
) -> dict[str, Any]:
    """Return how an agent is.

    Args:
        agent: the registered one that does the work, if it is one.
        name: under which its turns wait.
        pool: the pool whose workers run them.
    """
    running = workers.serving(pool, name)
    state = agent.state if agent else "ready"
    health = {"status": state if state != "ready" or running else "no_worker", "workers": running}
    if agent and agent.error:
        health["error"] = agent.error
    if not running and (others := workers.of(pool)):
        health["workers_of_others"] = others
    return {"health": health, "pool": pool, "queue_depth": waiting.get(name, 0)}
