"""Agents in ``GET /v1/models``: an inference provider of the host that lists them and runs none of them."""

import asyncio
import itertools
from pathlib import Path
from typing import Any

import structlog
from pydantic import BaseModel, Field

from k8gentai.agents.registry.registry import RegisteredAgent, Registry
from k8gentai.providers import host
from k8gentai.providers.host import environment
from k8gentai.providers.host.own_models import OwnModels
from k8gentai.workers.queue.registry_store import Place, followed_store_at

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 1.0
"""The seconds after which a changed registry shows in the list. A turn sees a change at once."""

_ASK_EVERY = 15
"""The number of looks after which the model endpoint is asked again, while it has named no model yet."""


def as_model(agent: RegisteredAgent, provider_id: str) -> Any:
    """Return an agent as the host lists it."""
    definition = agent.definition
    metadata: dict[str, Any] = {
        "framework": agent.framework,
        "description": definition.spec.description if definition else "",
        "state": agent.state,
    }
    if agent.error:
        metadata["error"] = agent.error
    return host.Model(
        identifier=agent.id,
        provider_resource_id=agent.id,
        provider_id=provider_id,
        model_type=host.ModelType.llm,
        metadata=metadata,
    )


class NotAModelError(ValueError):
    """An agent was asked for as if it were a model. The host answers a ValueError with 400."""

    def __init__(self, agent_id: str) -> None:
        super().__init__(f"'{agent_id}' is an agent, not a model: send it to POST /v1/responses.")


class AgentModels(OwnModels):
    """The provider.

    Args:
        registry: the agents.
    """

    __provider_id__ = "amf"

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def list_models(self) -> list[Any]:
        return [as_model(agent, self.__provider_id__) for agent in self._registry.list()]

    async def openai_chat_completion(self, params: Any) -> Any:
        raise NotAModelError(params.model)

    async def openai_completion(self, params: Any) -> Any:
        raise NotAModelError(params.model)

    async def openai_embeddings(self, params: Any) -> Any:
        raise NotAModelError(params.model)


async def keep_listed(registry: Registry, models: Any, provider_id: str) -> None:
    """Keep the host's list of agents up to date with the registry, for ever.

    The host itself asks its providers only every five minutes.

    Args:
        registry: the agents.
        models: the host's Models API.
        provider_id: the id under which they are listed.
    """
    listed = registry.list()
    for look in itertools.count(1):
        await asyncio.sleep(_LOOK_SECONDS)
        try:
            agents = registry.list()
            if agents != listed:
                await models.update_registered_models(
                    provider_id, [as_model(agent, provider_id) for agent in agents]
                )
                log.info("agents_changed", agents=len(agents))
                listed = agents
            if look % _ASK_EVERY == 0 and not await _endpoint_listed(models, provider_id):
                await models.refresh()
        except Exception:
            # A registry file cut off in mid-write, a database that is busy: the next look may do better.
            log.exception("listing_failed")


async def _endpoint_listed(models: Any, provider_id: str) -> bool:
    listed = (await models.list_models()).data
    return any(model.provider_id != provider_id and model.model_type == host.ModelType.llm for model in listed)


class AgentModelsConfig(BaseModel):
    """``config`` of the provider in the run YAML."""

    redis_url: str = Field(default_factory=environment.redis_url)
    """The address of Redis, for a registry that is kept there."""
    registry: Place = Path(".k8gentai/registry.json")


async def get_adapter_impl(config: AgentModelsConfig, _deps: dict[Any, Any]) -> AgentModels:
    """Called by the host."""
    return AgentModels(Registry(followed_store_at(config.registry, config.redis_url)))
