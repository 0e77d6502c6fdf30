"""Agents that a worker cannot import, or not in time."""

import asyncio
import builtins
import os
import sys
import threading
from importlib import _bootstrap
from types import SimpleNamespace
from typing import Any

import pytest

from k8gentai.agents.definition import implicit_agent
from k8gentai.agents.loading import load_object
from k8gentai.agents.turn import AgentLoadError, Turn
from k8gentai.workers import loaded as loaded_agents
from k8gentai.workers.loaded import LoadedAgents
from k8gentai.workers.own_variables import own_variables, part_variables
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


def registered(name: str, entrypoint: str, digest: str = "1") -> Any:
    definition = implicit_agent(name)
    definition = definition.model_copy(
        update={"spec": definition.spec.model_copy(update={"entrypoint": entrypoint})}
    )
    return SimpleNamespace(
        id=name, framework="langgraph", state="ready", definition=definition, digest=digest, error=None, file=None
    )


def accepted(agent: str = "a") -> AcceptedTurn:
    return AcceptedTurn(turn=Turn(id="resp_1", agent=agent, input=[]), framework="langgraph")


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


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """Where modules of agents are, which set variables for themselves alone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(os.environ, "__class__", os.environ.__class__)
    monkeypatch.setattr(builtins, "__import__", builtins.__import__)
    monkeypatch.setattr(_bootstrap, "_gcd_import", _bootstrap._gcd_import)
    part_variables()
    monkeypatch.setenv("OPENAI_BASE_URL", "http://gateway/v1")
    monkeypatch.setattr(loaded_agents, "found_tools", lambda *_: None)
    monkeypatch.setattr(loaded_agents, "check_policies", lambda *_: None)
    return tmp_path


def loading(known: dict[str, Any], load: Any) -> LoadedAgents:
    registry: Any = SimpleNamespace(get=known.get, list=lambda: list(known.values()))
    adapter: Any = Adapter(load)
    return LoadedAgents(registry, adapter)


@pytest.mark.parametrize(
    "imports",
    [
        "import shared.settings",
        "from shared import settings",
        "from shared.settings import URL",
        "from shared.deep import reach",
        "def f():\n    from shared import settings\nf()",
        "import importlib\nimportlib.import_module('shared.settings')",
        "from importlib import import_module\nimport_module('.deep', 'shared')",
    ],
)
async def test_what_a_shared_module_sets_is_found_by_all_that_import_it(folder, monkeypatch, imports):
    for name in [name for name in sys.modules if name.split(".")[0] in ("shared", "shop_a", "shop_b", "shop_c")]:
        monkeypatch.delitem(sys.modules, name)
    (folder / "shared").mkdir()
    (folder / "shared" / "__init__.py").write_text("")
    (folder / "shared" / "deep.py").write_text("from . import settings\nreach = 1\n")
    (folder / "shared" / "settings.py").write_text(
        "import os\nURL = os.environ['OPENAI_BASE_URL'] = 'http://mine/v1'\n"
    )
    own = "\nimport os\nos.environ['OPENAI_BASE_URL'] = 'http://own/v1'\n"
    for name, code in {"shop_a": imports, "shop_b": imports, "shop_c": imports + own}.items():
        (folder / f"{name}.py").write_text(f"{code}\nagent = 1\n")
    known = {name: registered(name, f"shop_{name}:agent") for name in "abc"}
    known["d"] = registered("d", "string:digits")
    loaded = loading(known, lambda definition: load_object(definition.spec.entrypoint))

    async def found(name: str) -> Any:
        return dict((await loaded.for_turn(accepted(name))).variables)

    mine, own = ({"OPENAI_BASE_URL": f"http://{name}/v1"} for name in ("mine", "own"))
    assert [await found(name) for name in "abcd"] == [mine, mine, own, {}]
    # The agent's module is imported anew where its source changed, the one that it imports is not.
    (folder / "shop_a.py").write_text(f"{imports}\nagent = 2\n")
    known["a"] = registered("a", "shop_a:agent", digest="changed")
    assert await found("a") == mine


async def test_what_code_imports_later_is_found_then(folder, monkeypatch):
    monkeypatch.delitem(sys.modules, "later_settings", raising=False)
    (folder / "later_settings.py").write_text("import os\nos.environ['OPENAI_BASE_URL'] = 'http://mine/v1'\n")
    for _ in range(2):
        own_variables.set({})
        assert os.environ["OPENAI_BASE_URL"] == "http://gateway/v1"
        import later_settings  # noqa: F401

        assert os.environ["OPENAI_BASE_URL"] == "http://mine/v1"
    own_variables.set(None)


async def test_what_a_module_sets_is_found_by_all_agents_that_it_holds(folder, monkeypatch):
    (folder / "loaded_first.py").write_text("import loaded_shop\none = 1\n")
    (folder / "loaded_shop.py").write_text(
        "import os, loaded_address\ndef make():\n    return os.environ['OPENAI_BASE_URL']\n"
    )
    (folder / "loaded_address.py").write_text(
        "import os\nos.environ['OPENAI_BASE_URL'] = 'http://shop/v1'\ndel os.environ['OPENAI_API_KEY']\n"
    )
    monkeypatch.setenv("OPENAI_API_KEY", "placeholder")
    entrypoints = {"a": "loaded_first:one", "b": "loaded_shop:make", "c": "loaded_shop:make", "d": "string:digits"}
    known = {name: registered(name, entrypoint) for name, entrypoint in entrypoints.items()}

    def load(definition: Any) -> Any:
        made = load_object(definition.spec.entrypoint)
        return made() if callable(made) else os.environ["OPENAI_BASE_URL"]

    loaded = loading(known, load)
    for name in ("a", "b", "c"):
        ready = await loaded.for_turn(accepted(name))
        assert ready.agent == "http://shop/v1"
        assert ready.variables == {"OPENAI_BASE_URL": "http://shop/v1", "OPENAI_API_KEY": None}
    ready = await loaded.for_turn(accepted("d"))
    assert (ready.agent, ready.variables) == ("http://gateway/v1", {})
    # The module is imported anew where its source changed, and sets what it sets now.
    (folder / "loaded_shop.py").write_text("def make():\n    return 'made anew'\n")
    known["b"] = registered("b", entrypoints["b"], digest="changed")
    ready = await loaded.for_turn(accepted("b"))
    assert (ready.agent, ready.variables) == ("made anew", {})


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
