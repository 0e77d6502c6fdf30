"""Agents that a worker cannot import, or not in time."""

import asyncio
import builtins
import copy
import os
import sys
import threading
from contextlib import suppress
from importlib import _bootstrap
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from k8gentai.agents.code.fingerprint import CHANGED, fingerprint
from k8gentai.agents.code.loading import load_object
from k8gentai.agents.contract.turn import AgentLoadError, Turn
from k8gentai.agents.resources.agent import implicit_agent
from k8gentai.workers.isolation.own_variables import own_variables, part_variables
from k8gentai.workers.queue.hand_backs import StaleCodeError
from k8gentai.workers.queue.record import AcceptedTurn
from k8gentai.workers.tools import agent_cache as loaded_agents
from k8gentai.workers.tools.agent_cache import LoadedAgents


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
    known = described("a", definition)
    registry: Any = SimpleNamespace(get=lambda _: known, list=lambda: [known], refresh=lambda: None)
    adapter: Any = Adapter(load)
    return LoadedAgents(registry, adapter, never, seconds), adapter


def never(files: list[str]) -> None:
    raise AssertionError(files)


async def test_a_worker_loads_the_agents_of_its_pool_that_it_is_told(folder: Path) -> None:
    definition = implicit_agent("model")
    known = {name: described(name, definition) for name in ("a", "b", "other")}
    for name, agent in known.items():
        agent.pool = "gpu" if name != "other" else "langgraph"
    registry: Any = SimpleNamespace(get=known.get, list=lambda: list(known.values()))
    adapter: Any = Adapter(lambda _: object())
    loaded = LoadedAgents(registry, adapter, never, pool="gpu", only={"a", "model"})
    steps: list[str] = []
    assert await loaded.warm(steps.append) == []
    assert steps == ["the import of agent a"]
    assert await loaded.for_turn(turn_for("a"))
    assert await loaded.for_turn(turn_for("model", implicit=True))


async def test_an_agent_of_another_framework_is_not_run_whatever_its_pool(folder: Path) -> None:
    agent = described("crew", implicit_agent("model"))
    agent.framework = "crewai"
    with pytest.raises(AgentLoadError, match="is of crewai, and its pool has workers of langgraph"):
        await loading({"crew": agent}, lambda _: object()).for_turn(turn_for("crew"))


def turn_for(agent: str, *, implicit: bool = False) -> AcceptedTurn:
    return AcceptedTurn(turn=Turn(id="resp_1", agent=agent, input=[]), framework="langgraph", implicit=implicit)


def described(name: str, definition: Any, digest: str = "1", files: dict[str, str] | None = None) -> Any:
    return SimpleNamespace(
        id=name,
        framework="langgraph",
        state="ready",
        definition=definition,
        digest=digest,
        files=files or {},
        error=None,
        file=None,
    )


def registered(name: str, entrypoint: str, digest: str = "1") -> Any:
    definition = implicit_agent(name)
    definition = definition.model_copy(
        update={"spec": definition.spec.model_copy(update={"entrypoint": entrypoint})}
    )
    return described(name, definition, digest)


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


async def test_the_reason_of_a_broken_agent_names_its_file_once():
    loaded, _ = agents(lambda _: None)
    registered_agent = loaded._registry.get("a")
    registered_agent.state, registered_agent.file = "broken", "a.yaml"
    registered_agent.error = "a.yaml:7: spec.entrypoint: no"
    with pytest.raises(AgentLoadError) as caught:
        await loaded.for_turn(accepted())
    assert str(caught.value) == "a.yaml:7: spec.entrypoint: no"


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
    monkeypatch.setattr(_bootstrap, "_gcd_import", vars(_bootstrap)["_gcd_import"])
    part_variables()
    monkeypatch.setenv("OPENAI_BASE_URL", "http://gateway/v1")
    monkeypatch.setattr(loaded_agents, "found_tools", lambda *_: None)
    monkeypatch.setattr(loaded_agents, "check_policies", lambda *_: None)
    return tmp_path


def loading(known: dict[str, Any], load: Any) -> LoadedAgents:
    registry: Any = SimpleNamespace(get=known.get, list=lambda: list(known.values()), refresh=lambda: None)
    adapter: Any = Adapter(load)
    return LoadedAgents(registry, adapter, never)


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
    sets = "\nimport os\nos.environ['OPENAI_BASE_URL'] = 'http://own/v1'\n"
    for name, code in {"shop_a": imports, "shop_b": imports, "shop_c": imports + sets}.items():
        (folder / f"{name}.py").write_text(f"{code}\nagent = 1\n")
    known = {name: registered(name, f"shop_{name}:agent") for name in "abc"}
    known["d"] = registered("d", "string:digits")
    loaded = loading(known, lambda definition: load_object(definition.spec.entrypoint))

    async def found(name: str) -> Any:
        return dict((await loaded.for_turn(accepted(name))).variables)

    mine, own = ({"OPENAI_BASE_URL": f"http://{name}/v1"} for name in ("mine", "own"))
    assert [await found(name) for name in "abcd"] == [mine, mine, own, {}]
    # Where its definition changed, it is loaded anew, and its modules are not.
    known["a"] = registered("a", "shop_a:agent", digest="changed")
    assert await found("a") == mine


async def test_what_code_imports_later_is_found_then(folder, monkeypatch):
    monkeypatch.delitem(sys.modules, "later_settings", raising=False)
    (folder / "later_settings.py").write_text("import os\nos.environ['OPENAI_BASE_URL'] = 'http://mine/v1'\n")
    for _ in range(2):
        own_variables.set({})
        assert os.environ["OPENAI_BASE_URL"] == "http://gateway/v1"
        import later_settings  # type: ignore[import-not-found]  # noqa: F401

        assert os.environ["OPENAI_BASE_URL"] == "http://mine/v1"
    own_variables.set(None)


@pytest.mark.parametrize("imports", ["from .place import debug", "import_module('.place', __package__)"])
async def test_a_module_that_puts_an_object_in_its_own_place_is_imported(folder, monkeypatch, imports):
    for name in [name for name in sys.modules if name.split(".")[0] == "placed"]:
        monkeypatch.delitem(sys.modules, name)
    (folder / "placed").mkdir()
    (folder / "placed" / "__init__.py").write_text(f"from importlib import import_module\n{imports}\nagent = 1\n")
    (folder / "placed" / "place.py").write_text(
        "import os, sys\n"
        "class Settings:\n    __slots__ = ()\n    __hash__ = None\n    debug = True\n"
        "sys.modules[__name__] = Settings()\n"
        "os.environ['OPENAI_BASE_URL'] = 'http://mine/v1'\n"
    )
    loaded = loading({"a": registered("a", "placed:agent")}, lambda agent: load_object(agent.spec.entrypoint))
    ready = await loaded.for_turn(accepted("a"))
    assert ready.variables == {"OPENAI_BASE_URL": "http://mine/v1"}


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
    ready: Any
    for name in ("a", "b", "c"):
        ready = await loaded.for_turn(accepted(name))
        assert ready.agent == "http://shop/v1"
        assert ready.variables == {"OPENAI_BASE_URL": "http://shop/v1", "OPENAI_API_KEY": None}
    ready = await loaded.for_turn(accepted("d"))
    assert (ready.agent, ready.variables) == ("http://gateway/v1", {})


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
    known = {name: described(name, implicit_agent(name), digest=name) for name in ("a", "endless")}

    importing, loop = asyncio.Event(), asyncio.get_running_loop()

    def load(definition: Any) -> Any:
        if definition.id == "endless":
            loop.call_soon_threadsafe(importing.set)
            ending.wait(60)
        return SimpleNamespace(definition=definition)

    registry: Any = SimpleNamespace(get=known.get, list=lambda: list(known.values()), refresh=lambda: None)
    adapter: Any = Adapter(load)
    loaded = LoadedAgents(registry, adapter, never, 60)
    ready = await loaded.for_turn(accepted())
    other = accepted()
    other.turn.agent = "endless"
    waiting = asyncio.create_task(loaded.for_turn(other))
    await importing.wait()
    assert await loaded.for_turn(accepted()) is ready
    assert not waiting.done()
    ending.set()
    await waiting


@pytest.fixture
def code(folder, monkeypatch):
    """The registry of two agents, which share a module, and a worker's agents."""
    for name in ("loaded_words", "loaded_one", "loaded_two"):
        monkeypatch.delitem(sys.modules, name, raising=False)
        (folder / f"{name}.py").write_text("from loaded_words import agent\n")
    (folder / "loaded_words.py").write_text("agent = 1\n")
    return Code(folder)


class Code:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.known: dict[str, Any] = {}
        self.stale: list[list[str]] = []
        registry: Any = SimpleNamespace(
            get=self.known.get, list=lambda: list(self.known.values()), refresh=lambda: None
        )
        self.adapter: Any = Adapter(lambda definition: load_object(definition.spec.entrypoint))
        self.loaded = LoadedAgents(registry, self.adapter, self.stale.append)

    def register(self, *names: str) -> None:
        """Do as a check does that finds the code as it is now."""
        for name in names:
            files = {self.path(module): fingerprint(self.path(module)) for module in (name, "words")}
            agent = registered(name, f"loaded_{name}:agent", digest=str(files))
            agent.files = files
            self.known[name] = agent

    def path(self, name: str) -> str:
        return str(self.folder / f"loaded_{name}.py")

    def write(self, name: str, content: str) -> None:
        Path(self.path(name)).write_text(content)

    def remove(self, name: str) -> None:
        Path(self.path(name)).unlink()

    async def answer(self, name: str) -> Any:
        return (await self.loaded.for_turn(accepted(name))).agent


@pytest.mark.parametrize("looks", [True, False])
async def test_code_that_changed_beyond_the_named_module_is_for_another_process(code, looks):
    code.register("one", "two")
    assert [await code.answer(name) for name in ("one", "two")] == [1, 1]
    code.write("words", "agent = 2\n")
    # Nothing changes before it is registered.
    code.loaded.look()
    assert (await code.answer("one"), code.stale) == (1, [])
    code.register("one", "two")
    if looks:
        code.loaded.look()
    for name in ("one", "two"):
        with pytest.raises(StaleCodeError):
            await code.answer(name)
    # It is said once.
    assert code.stale == [[code.path("words")]]


def test_two_threads_that_see_a_change_at_once_say_it_once(code, monkeypatch):
    both = threading.Barrier(2)

    def seen(loaded):
        was = vars(loaded).get("_is_stale")
        with suppress(threading.BrokenBarrierError):
            both.wait(0.5)
        return was

    def become(loaded, is_stale):
        vars(loaded)["_is_stale"] = is_stale

    monkeypatch.setattr(LoadedAgents, "_is_stale", property(seen, become), raising=False)
    become(code.loaded, False)
    both_have_looked = threading.Barrier(2)
    monkeypatch.setattr(code.loaded._code, "changed", lambda _: both_have_looked.wait(30) >= 0 and ["a"])
    code.register("one")
    threads = [threading.Thread(target=code.loaded.look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert code.stale == [["a"]]


async def test_an_agent_that_was_kept_as_it_was_ends_no_process(code):
    code.register("one")
    assert await code.answer("one") == 1
    code.write("words", "agent = 2\n")
    # Only the other's check came to its end.
    code.known["one"] = copy.copy(code.known["one"])
    code.loaded.look()
    assert (await code.answer("one"), code.stale) == (1, [])


async def test_a_new_agent_is_not_mixed_with_a_module_that_another_had_before_it_changed(code):
    code.register("one")
    await code.answer("one")
    code.write("words", "agent = 2\n")
    code.register("two")
    with pytest.raises(StaleCodeError):
        await code.answer("two")
    assert code.stale == [[code.path("words")]]


async def test_code_that_another_process_would_have_as_well_is_no_reason_to_end(code):
    """As in an image, which has its own code whatever is registered."""
    code.register("one")
    await code.answer("one")
    code.known["one"] = copy.copy(code.known["one"])
    code.known["one"].files = dict.fromkeys(code.known["one"].files, "registered elsewhere")
    code.known["one"].digest = "registered elsewhere"
    code.loaded.look()
    assert (await code.answer("one"), code.stale) == (1, [])


async def test_a_file_that_is_written_whenever_it_is_read_replaces_no_process(code):
    code.register("one", "two")
    for agent in code.known.values():
        agent.files[code.path("words")] = f"{CHANGED}of its own"
    assert await code.answer("one") == 1
    code.write("words", "agent = 2\n")
    assert (await code.answer("two"), code.stale) == (1, [])


async def test_what_was_saved_during_a_check_and_stays_so_is_for_another_process(code):
    code.register("one")
    await code.answer("one")
    code.write("words", "agent = 2\n")
    code.register("one")
    files = code.known["one"].files
    files[code.path("words")] = f"{CHANGED}{files[code.path('words')]}"
    with pytest.raises(StaleCodeError):
        await code.answer("one")


@pytest.fixture
async def changed(code):
    """Code that this process has otherwise than it was registered."""
    code.register("one")
    await code.answer("one")
    code.write("words", "agent = 2\n")
    code.register("one")
    return code


async def test_watching_ends_with_the_first_change(changed):
    async with asyncio.timeout(30):
        await changed.loaded.watch(0.01)
    assert changed.stale == [[changed.path("words")]]


async def test_a_registry_that_cannot_be_read_for_once_does_not_end_the_watching(changed):
    found = [OSError("away"), list(changed.known.values())]

    def listed():
        match found.pop(0):
            case OSError() as error:
                raise error
            case agents:
                return agents

    changed.loaded._registry.list = listed
    async with asyncio.timeout(30):
        await changed.loaded.watch(0.01)
    assert changed.stale == [[changed.path("words")]]


async def test_a_module_that_is_gone_or_came_is_a_change(code):
    code.register("one")
    await code.answer("one")
    code.remove("words")
    code.write("one", "agent = 3\n")
    code.register("one")
    del code.known["one"].files[code.path("words")]
    code.loaded.look()
    assert code.stale == [[code.path("one"), code.path("words")]]


async def test_a_module_that_was_missing_is_a_change(code):
    code.remove("words")
    code.register("one")
    with pytest.raises(AgentLoadError):
        await code.answer("one")
    code.write("words", "agent = 1\n")
    code.register("one")
    code.loaded.look()
    assert code.stale == [[code.path("words")]]


async def test_an_agent_that_was_registered_again_is_tried_again_at_once(code, monkeypatch):
    monkeypatch.delenv("WORDS_KEY", raising=False)
    code.write("words", "import os\nagent = os.environ['WORDS_KEY']\n")
    code.register("one")
    with pytest.raises(AgentLoadError):
        await code.answer("one")
    monkeypatch.setenv("WORDS_KEY", "1")
    with pytest.raises(AgentLoadError):
        await code.answer("one")
    code.known["one"] = copy.copy(code.known["one"])
    assert await code.answer("one") == "1"
    assert code.stale == []


@pytest.mark.parametrize("before", [None, "broken"])
async def test_a_turn_of_an_agent_that_this_process_did_not_hear_of_yet_has_it_ask(folder, before):
    """The server that accepted it heard sooner."""
    definition = implicit_agent("model")
    new = described("a", definition)
    known = (
        {"a": SimpleNamespace(**{**vars(new), "state": before, "error": "was broken", "file": "a"})}
        if before
        else {}
    )
    registry: Any = SimpleNamespace(
        get=known.get, list=lambda: list(known.values()), refresh=lambda: known.update(a=new)
    )
    loaded = LoadedAgents(registry, Adapter(lambda _: "loaded"), never)
    ready: Any = await loaded.for_turn(accepted())
    assert ready.agent == "loaded"


async def test_a_turn_of_an_agent_that_is_gone_fails(folder):
    loaded = loading({}, lambda _: "loaded")
    with pytest.raises(AgentLoadError, match="agent a is no longer registered"):
        await loaded.for_turn(accepted())
