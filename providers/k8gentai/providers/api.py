"""The host's external API ``amf``: a way to bring routes of our own into the host. See ``stack/apis.d``."""

from typing import Any, Protocol

from fastapi import APIRouter
from pydantic import BaseModel

from k8gentai.providers import host, routes
from k8gentai.providers.running import Running

API = host.Api.add("amf")


class Amf(Protocol):
    """What the host believes it serves."""

    running: Running


class AmfRoutesConfig(BaseModel):
    """``config`` of the provider in the run YAML; there is nothing to say."""


class AmfRoutes:
    """Holds what the routes need.

    Args:
        running: this process's service.
    """

    def __init__(self, running: Running) -> None:
        self.running = running

    async def shutdown(self) -> None: ...


async def get_provider_impl(_config: AmfRoutesConfig, deps: dict[Any, Any]) -> AmfRoutes:
    """Called by the host, with our own responses provider among ``deps``."""
    return AmfRoutes(deps[host.Api.responses].running)


def available_providers() -> list[Any]:
    """Called by the host: the API's only provider."""
    return [
        host.InlineProviderSpec(
            api=API,
            provider_type="inline::amf-routes",
            module="k8gentai.providers.api",
            config_class="k8gentai.providers.api.AmfRoutesConfig",
            api_dependencies=[host.Api.responses],
            description="Routes of the Responses API with resumable streams.",
        )
    ]


def create_router(impl: AmfRoutes) -> APIRouter:
    """Called by the host."""
    return routes.create_router(impl.running)
