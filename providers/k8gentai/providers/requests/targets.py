"""Finds what a request's ``model`` names: an agent of the registry, or a model the stack serves."""

import asyncio
import contextlib
import time
from dataclasses import dataclass
from typing import Any

from k8gentai.agents.registry.registry import RegisteredAgent, Registry
from k8gentai.agents.resources.agent import MultitaskStrategy
from k8gentai.agents.text.suggestion import did_you_mean
from k8gentai.providers import host
from k8gentai.providers.errors import MODEL_NOT_FOUND, ApiError, invalid
from k8gentai.providers.host.access import Access

_REFRESH_SECONDS = 2.0
"""An unknown name has the host ask its providers for their models, at most this often."""

_IMPLICIT = "llama-stack"
"""The framework whose workers run plain models."""

_PATIENCE_SECONDS = 5.0
"""The seconds that a request waits for a new list of the models."""


@dataclass(frozen=True)
class Target:
    """Whom a turn is for."""

    agent: str
    framework: str
    pool: str
    """The pool whose workers run it."""
    revision: str = ""
    """A digest of its definition and code; empty for a plain model."""
    declarative: bool = True
    """Whether it has no code of its own."""
    refuses: frozenset[str] = frozenset()
    """The parts of a request that it does not take: see :data:`k8gentai.agents.contract.turn.RequestPart`."""
    tools: frozenset[str] = frozenset()
    """The names of its own tools that are known."""
    has_tools: bool = False
    """Whether it has tools of its own."""
    knows_tools: bool = True
    """Whether no server names others while a turn runs."""
    implicit: bool = False
    """Whether it is a plain model, run as an agent of Llama Stack's own."""
    multitask_strategy: MultitaskStrategy = "enqueue"
    """The strategy for requests that name none."""
    queue_limit: int | None = None
    """The number of its turns that may wait; None where only the limit of all agents counts."""


class Resolver:
    """Resolves names.

    Args:
        registry: the agents.
        models: the host's Models API.
        access: the host's policy.
        provider_id: the id under which the agents are listed as models; it prefixes theirs.
    """

    def __init__(self, registry: Registry, models: Any, access: Access, provider_id: str) -> None:
        self._registry = registry
        self._models = models
        self._access = access
        self._provider_id = provider_id
        self._refreshed_at = 0.0
        self._refreshing = asyncio.Lock()

    async def resolve(self, model: str) -> Target:
        """Find what ``model`` names.

        Raises:
            ApiError: nothing does (404), or the agent is broken or nobody runs it (503).
        """
        agent = self._agent(model)
        if agent is not None:
            return _target(agent)
        identifier = await self._served(model)
        if identifier is None:
            await self._refresh()
            identifier = await self._served(model)
        if identifier is None:
            raise ApiError(
                404,
                # The host's words; agents are among the models it lists.
                f"Model '{model}' not found{self._hint(model) or '.'}"
                " Use 'client.models.list()' to list available Models.",
                code=MODEL_NOT_FOUND,
                param="model",
            )
        self._check_in_use(identifier)
        return Target(identifier, _IMPLICIT, _IMPLICIT, implicit=True)

    def means(self, model: str, agent: str) -> bool:
        """Return whether a request's ``model`` is the name of an agent, be it there or not."""
        return model.removeprefix(f"{self._provider_id}/") == agent

    def _check_in_use(self, identifier: str) -> None:
        """See that somebody runs plain models: not where all agents of their framework are registered as unused.

        Raises:
            ApiError: nobody does (503).
        """
        agents = [agent for agent in self._registry.list() if agent.framework == _IMPLICIT]
        if agents and all(agent.state == "unused" for agent in agents):
            raise _unavailable(f"Model '{identifier}' cannot be run: {agents[0].error}", "agent_unused")

    def model_of(self, model: str) -> str:
        """Return the plain model behind a name: that of the agent's definition, or the name itself.

        Raises:
            ApiError: the agent has its model in its code (400), or is broken (503).
        """
        agent = self._agent(model)
        if agent is None:
            return model
        name = agent.definition.spec.model.name if agent.definition else None
        if name is None:
            raise invalid(
                f"Agent '{agent.id}' has its model in its code; name a model of GET /v1/models.", "model"
            )
        return name

    def _agent(self, model: str) -> RegisteredAgent | None:
        agent = self._registry.get(model.removeprefix(f"{self._provider_id}/"))
        if agent is None or not self._may_use(agent):
            return None
        if agent.state != "ready":
            what = "is broken" if agent.state == "broken" else "cannot be run"
            raise _unavailable(f"Agent '{agent.id}' {what}: {agent.error}", f"agent_{agent.state}")
        return agent

    def _hint(self, model: str) -> str:
        known = [agent.id for agent in self._registry.list() if self._may_use(agent)]
        return did_you_mean(model.removeprefix(f"{self._provider_id}/"), known)

    def _may_use(self, agent: RegisteredAgent) -> bool:
        return self._access.may_use_model(f"{self._provider_id}/{agent.id}")

    async def _served(self, model: str) -> str | None:
        """Return the id of the served model a name means: the id itself, or what follows the provider's prefix if
        that is unambiguous."""
        listed = [
            candidate
            for candidate in (await self._models.list_models()).data
            if candidate.model_type == host.ModelType.llm and candidate.provider_id != self._provider_id
        ]
        if any(candidate.identifier == model for candidate in listed):
            return model
        named = [candidate.identifier for candidate in listed if candidate.provider_resource_id == model]
        return named[0] if len(named) == 1 else None

    async def _refresh(self) -> None:
        """Have the host list its providers' models again."""
        async with self._refreshing:
            if time.monotonic() - self._refreshed_at < _REFRESH_SECONDS:
                return
            # What is listed belongs to nobody, whoever's request it was.
            with contextlib.suppress(TimeoutError), host.request_provider_data_context({}, None):
                await asyncio.wait_for(self._models.refresh(), _PATIENCE_SECONDS)
            self._refreshed_at = time.monotonic()


def _unavailable(message: str, code: str) -> ApiError:
    # The openai SDK would try again; that mends nothing.
    return ApiError(503, message, code=code, param="model", headers={"X-Should-Retry": "false"})


def _target(agent: RegisteredAgent) -> Target:
    if agent.definition is None:
        return Target(agent.id, agent.framework, agent.pool, agent.digest)
    spec = agent.definition.spec
    return Target(
        agent.id,
        agent.framework,
        agent.pool,
        agent.digest,
        declarative=spec.entrypoint is None,
        refuses=frozenset(agent.refuses),
        tools=frozenset(agent.tools),
        has_tools=bool(agent.tools or spec.tools),
        knows_tools=all(tool.mcp is None for tool in spec.tools),
        multitask_strategy=spec.multitask_strategy,
        queue_limit=spec.limits.queue,
    )
