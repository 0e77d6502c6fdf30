"""What ``model`` names, and what is said of a name that nothing has."""

from types import SimpleNamespace
from typing import Any

import pytest

from k8gentai.providers import host
from k8gentai.providers.errors import ApiError
from k8gentai.providers.requests.targets import Resolver


@pytest.fixture
def resolver() -> Resolver:
    """Of a server that serves no model, and knows one agent."""

    async def nothing(*_: Any, **__: Any) -> Any:
        return SimpleNamespace(data=[])

    agents = {"clerk": SimpleNamespace(id="clerk")}
    registry: Any = SimpleNamespace(get=lambda _: None, list=lambda: list(agents.values()))
    models = SimpleNamespace(list_models=nothing, routing_table=SimpleNamespace(impls_by_provider_id={}))
    access: Any = SimpleNamespace(may_use_model=lambda _: True)
    made = Resolver(registry, models, access, "amf")
    made._refresh = nothing  # type: ignore[method-assign]
    return made


async def test_the_nearest_agent_is_named(resolver: Resolver) -> None:
    with pytest.raises(ApiError, match="did you mean 'clerk'"):
        await resolver.resolve("clark")


async def test_a_plain_model_is_not_taken_where_nobody_runs_it(resolver: Resolver) -> None:
    served = SimpleNamespace(
        identifier="openai/gpt", provider_resource_id="gpt", provider_id="openai", model_type=host.ModelType.llm
    )

    async def list_models() -> Any:
        return SimpleNamespace(data=[served])

    resolver._models.list_models = list_models
    agents: Any = [SimpleNamespace(id="desk", framework="llama-stack", state="unused", error="not in use here")]
    resolver._registry.list = lambda: agents  # type: ignore[method-assign]
    with pytest.raises(ApiError, match="Model 'openai/gpt' cannot be run: not in use here") as refused:
        await resolver.resolve("gpt")
    assert (refused.value.status_code, refused.value.code) == (503, "agent_unused")
    agents[0].state = "ready"
    assert (await resolver.resolve("gpt")).framework == "llama-stack"


async def test_what_a_client_sends_is_neither_searched_nor_repeated_where_it_is_large(resolver: Resolver) -> None:
    with pytest.raises(ApiError) as refused:
        await resolver.resolve("clerk" * 1_000_000)
    error = refused.value
    assert (error.status_code, error.param) == (404, "model")
    assert len(error.message) < 3_000
    assert error.message.startswith("Model 'clerkclerk")
    assert "did you mean" not in error.message
