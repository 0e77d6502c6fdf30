"""The host's external API ``amf``: a way to bring routes of our own into the host. See ``stack/apis.d``."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

from fastapi import APIRouter, FastAPI
from pydantic import BaseModel, PositiveInt

from k8gentai.providers import host
from k8gentai.providers.agents_api import routes as agents_routes
from k8gentai.providers.http import MAX_BODY_BYTES
from k8gentai.providers.overrides import completions, conversations, vector_stores
from k8gentai.providers.responses_api import routes
from k8gentai.providers.server.model_ids import ModelIds
from k8gentai.providers.server.server import Server
from k8gentai.providers.server.shaped_errors import ShapedErrors
from k8gentai.providers.server.web_security import protect

API = host.Api.add("amf")


class Amf(Protocol):
    """The protocol that the host believes it serves."""

    server: Server


class AmfRoutesConfig(BaseModel):
    """``config`` of the provider in the run YAML."""

    any_client_version: bool = True
    """Whether clients of every version are served. The host refuses llama-stack-client of another one than its own
    (426), and with it those that know the Agents API."""
    max_body_bytes: PositiveInt = MAX_BODY_BYTES
    """The bytes that a request to our routes may have."""
    allowed_hosts: str | None = None
    """Names by which the server may be called beside those of loopback, with commas between; ``*`` for any."""


class AmfRoutes:
    """Holds what the routes need.

    Args:
        server: this process's service.
        inference: the host's Inference API.
        vector_io: the server's Vector IO API.
        max_body_bytes: the bytes that a request may have.
    """

    def __init__(
        self, server: Server, inference: Any, vector_io: Any, max_body_bytes: int = MAX_BODY_BYTES
    ) -> None:
        self.server = server
        self.inference = inference
        self.vector_io = vector_io
        self.max_body_bytes = max_body_bytes

    async def shutdown(self) -> None: ...


async def get_provider_impl(config: AmfRoutesConfig, deps: dict[Any, Any]) -> AmfRoutes:
    """Called by the host, with our own responses provider among ``deps``."""
    if config.any_client_version:
        host.serve_any_client_version()
    server = deps[host.Api.responses].server
    host.put_around_app(lambda _, app: ShapedErrors(ModelIds(app, server.listed)))
    protect([name.strip().lower() for name in (config.allowed_hosts or "").split(",") if name.strip()])
    return AmfRoutes(server, deps[host.Api.inference], deps[host.Api.vector_io], config.max_body_bytes)


def available_providers() -> list[Any]:
    """Called by the host: the API's only provider."""
    return [
        host.InlineProviderSpec(
            api=API,
            provider_type="inline::amf-routes",
            module="k8gentai.providers.server.external_api",
            config_class="k8gentai.providers.server.external_api.AmfRoutesConfig",
            api_dependencies=[host.Api.responses, host.Api.inference, host.Api.vector_io],
            description="Routes of the Responses API, the Agents API, chat completions and vector stores.",
        )
    ]


def create_router(impl: AmfRoutes | None) -> APIRouter:
    """Called by the host: our routes, which also start and stop what runs in the background.

    Args:
        impl: what they need; None where the host only lists routes, as ``GET /v1/inspect/routes`` does.
    """
    if impl is None:
        return _listed()
    server = impl.server

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        _move_to_front(app, router)
        await server.open()
        yield
        await server.stop()

    router = APIRouter(lifespan=lifespan)
    for front in server.routers(impl.max_body_bytes):
        router.include_router(front)
    router.include_router(completions.create_router(impl.inference, server.listed, impl.max_body_bytes))
    router.include_router(vector_stores.create_router(impl.vector_io))
    return router


def _listed() -> APIRouter:
    """Return our routes for clients, which are not to be served, each at the top, where the host looks."""
    unserved: Any = None
    router = APIRouter()
    for part in (
        routes.create_router(unserved),
        agents_routes.create_router(unserved),
        conversations.create_router(unserved),
        completions.create_router(unserved),
        vector_stores.create_router(unserved),
    ):
        router.routes.extend(_flat(part))
    return router


def _flat(router: Any) -> list[Any]:
    """Return the routes of a router, and of those that it includes."""
    nested = [getattr(route, "original_router", None) for route in router.routes]
    return [
        each
        for route, inner in zip(router.routes, nested, strict=True)
        for each in ([route] if inner is None else _flat(inner))
    ]


def _move_to_front(app: FastAPI, router: APIRouter) -> None:
    """Put our routes before the host's own of the same paths.

    Llama Stack includes them in no fixed order; OGX in that of the APIs' names, where ``amf`` is the first.
    """
    all_routes = app.router.routes
    ours = [route for route in all_routes if getattr(route, "original_router", None) is router]
    if not ours:
        raise RuntimeError("the host did not include our routes; see stack/apis.d")
    all_routes[:] = ours + [route for route in all_routes if route not in ours]
