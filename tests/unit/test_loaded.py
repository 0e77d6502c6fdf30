"""Agents that a worker cannot import, or not in time."""

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from k8gentai.agents.definition import implicit_agent
from k8gentai.agents.turn import AgentLoadError, Turn
from k8gentai.workers import loaded as loaded_agents
from k8gentai.workers.loaded import LoadedAgents
from k8gentai.workers.own_variables import own_variables
from k8gentai.workers.record import AcceptedTurn


class Adapter:
    """Loads agents as a test says."""

    framework = "langgraph"

    def __init__(self, load: Any) -> None:
        self._load = load
        self.loads = 0

    def load(self, definition: Any) -> Any:
        self.loads += 1
        return self._load(definition)


def agents(load: Any, seconds: float = 30.0) -> tuple[LoadedAgents, Adapter]:
    definition = implicit_agent("model")
    known = SimpleNamespace(
        id="a", framework="langgraph", state="ready", definition=definition, digest="1", error=None, file=None
    )
    registry: Any = SimpleNamespace(get=lambda _: known, list=lambda: [known])
    adapter: Any = Adapter(load)
    return LoadedAgents(registry, adapter, seconds), adapter


def accepted() -> AcceptedTurn:
    return AcceptedTurn(turn=Turn(id="resp_1", agent="a", input=[]), framework="langgraph")


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), ImportError("no"), AgentLoadError("no")])
async def test_whatever_an_import_raises_the_agent_cannot_be_had(error):
    def load(_: Any) -> Any:
        raise error

    loaded, adapter = agents(load)
    steps: list[str] = []
    assert [agent_id for agent_id, _ in await loaded.warm(steps.append)] == ["a"]
    assert steps == ["the import of agent a"]
    with pytest.raises(AgentLoadError):
        await loaded.for_turn(accepted())
    # The same code is not imported again at once.
    assert adapter.loads == 1
    assert list(loaded.missing()) == ["a"]


async def test_what_an_import_sets_for_itself_is_kept_for_the_agents_turns(monkeypatch):
    def load(_: Any) -> Any:
        own = own_variables.get()
        assert own is not None
        own["OPENAI_BASE_URL"] = "http://elsewhere/v1"
        return "agent"

    monkeypatch.setattr(loaded_agents, "load_functions", lambda _: [])
    monkeypatch.setattr(loaded_agents, "found_tools", lambda *_: None)
    monkeypatch.setattr(loaded_agents, "check_policies", lambda *_: None)
    loaded, _ = agents(load)
    for _ in range(2):
        ready = await loaded.for_turn(accepted())
        assert ready.variables == {"OPENAI_BASE_URL": "http://elsewhere/v1"}
    assert own_variables.get() is None


async def test_an_import_that_does_not_end_is_given_up_and_begun_once():
    ending = threading.Event()

    def load(definition: Any) -> Any:
        ending.wait(60)
        raise ImportError("at last")

    loaded, adapter = agents(load, seconds=0.01)
    for _ in range(2):
        with pytest.raises(AgentLoadError, match="did not end within"):
            await loaded.for_turn(accepted())
    ending.set()
    assert adapter.loads == 1


async def test_an_agent_that_is_loaded_does_not_wait_for_the_import_of_another():
    ending = threading.Event()
    known = {
        name: SimpleNamespace(
            id=name,
            framework="langgraph",
            state="ready",
            definition=implicit_agent(name),
            digest=name,
            error=None,
            file=None,
        )
        for name in ("a", "endless")
    }

    importing, loop = asyncio.Event(), asyncio.get_running_loop()

    def load(definition: Any) -> Any:
        if definition.id == "endless":
            loop.call_soon_threadsafe(importing.set)
            ending.wait(60)
        return SimpleNamespace(definition=definition)

    registry: Any = SimpleNamespace(get=known.get, list=lambda: list(known.values()))
    adapter: Any = Adapter(load)
    loaded = LoadedAgents(registry, adapter, 60)
    ready = await loaded.for_turn(accepted())
    other = accepted()
    other.turn.agent = "endless"
    waiting = asyncio.create_task(loaded.for_turn(other))
    await importing.wait()
    assert await loaded.for_turn(accepted()) is ready
    assert not waiting.done()
    ending.set()
    await waiting
