"""Agents in the host's list of models."""

import asyncio
from pathlib import Path
from types import SimpleNamespace

import pytest

from k8gentai.agents.registry.registry import Registry, write_registry
from k8gentai.providers.host.agent_models import AgentModels, keep_listed
from tests.support.providers import Models, agent, model


async def test_agents_are_listed_with_framework_description_and_state(tmp_path: Path) -> None:
    path = tmp_path / "registry.json"
    write_registry(path, [agent("math"), agent("sick", "sick.py:3: no module named 'foo'")])
    math, sick = await AgentModels(Registry(path)).list_models()
    assert (math.identifier, math.provider_id, math.model_type) == ("math", "amf", "llm")
    assert math.metadata == {"framework": "langgraph", "description": "Does math.", "state": "ready"}
    assert (sick.metadata["state"], sick.metadata["error"]) == ("broken", "sick.py:3: no module named 'foo'")


async def test_an_agent_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="POST /v1/responses"):
        await AgentModels(Registry(tmp_path / "none")).openai_chat_completion(SimpleNamespace(model="math"))


async def test_changes_and_a_late_endpoint_are_taken_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("k8gentai.providers.host.agent_models._LOOK_SECONDS", 0.005)
    monkeypatch.setattr("k8gentai.providers.host.agent_models._ASK_EVERY", 2)
    path = tmp_path / "registry.json"
    models = Models()
    # Neither is a model of the endpoint's.
    models.listed = [model("amf/math"), model("embeddings/lexical", "embedding")]
    models.after_refresh = [model("openai/late")]
    task = asyncio.create_task(keep_listed(Registry(path), models, "amf"))
    await asyncio.sleep(0.02)
    write_registry(path, [agent("new")])
    async with asyncio.timeout(5):
        while not (models.updates and len(models.listed) == 3):  # noqa: ASYNC110 - nothing to wait on
            await asyncio.sleep(0.01)
    task.cancel()
    (provider_id, listed) = models.updates[0]
    assert (provider_id, [each.identifier for each in listed]) == ("amf", ["new"])
