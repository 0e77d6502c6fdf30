"""Checking agents: each in a process of its framework's environment, and none at the cost of another."""

import json
import os
import shlex
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from k8gentai.agents.code.code_files import files_of
from k8gentai.agents.code.fingerprint import fingerprint
from k8gentai.agents.registry import file_store
from k8gentai.agents.registry.changes import Changes
from k8gentai.agents.registry.check import update
from k8gentai.agents.registry.check_terms import Terms
from k8gentai.agents.registry.definitions import read_definitions
from k8gentai.agents.registry.registry import Registry
from k8gentai.agents.resources.kinds import KINDS
from tests.support.llama_stack import McpServer
from tests.unit.agents.resources.test_kinds import LAMP, Lamp

GRAPH = """\
from langgraph.graph import START, MessagesState, StateGraph

print("printing is no harm")
agent = StateGraph(MessagesState).add_node("n", lambda state: {}).add_edge(START, "n")
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def define(name: str, code: str | None = GRAPH, *, file: str | None = None, framework="langgraph") -> None:
    spec = f"framework: {framework}"
    if code is not None:
        Path(f"{name}_code.py").write_text(code)
        spec += f"\n  entrypoint: {name}_code:agent"
    Path("agents").mkdir(exist_ok=True)
    Path("agents", f"{file or name}.yaml").write_text(
        f"apiVersion: kagent.dev/v1alpha1\nkind: Agent\nmetadata: {{name: {name}}}\nspec:\n  {spec}\n"
    )


def checked(*, seconds=60, **interpreters):
    in_use = ("langgraph", "llama-stack")
    terms = Terms(interpreters or {"langgraph": Path(sys.executable)}, in_use=in_use, seconds=seconds)
    agents = update(Path("agents"), Path("state/registry.json"), terms)
    assert Registry(Path("state/registry.json")).list() == agents
    return {agent.id: agent for agent in agents}


def test_broken_agents_are_named_and_the_others_go_on(here):
    define("good")
    define("raising", "x = 1\nagent = [][3]\n")
    define("nothing", "other = 1\n")
    define("malformed", framework="lang")
    agents = checked()
    assert {name: agent.state for name, agent in agents.items()} == {
        "good": "ready",
        "raising": "broken",
        "nothing": "broken",
        "malformed": "broken",
    }
    assert agents["good"].error is None
    assert len(agents["good"].digest) == 64
    assert agents["good"].definition.spec.entrypoint == "good_code:agent"
    assert agents["raising"].error == f"{here}/raising_code.py:2: IndexError: list index out of range"
    nothing = "spec.entrypoint: nothing_code:agent: there is no 'agent' in nothing_code.py"
    assert agents["nothing"].error == f"agents/nothing.yaml:6: {nothing}"
    assert agents["malformed"].error.startswith("agents/malformed.yaml:5: spec.framework: unknown framework")
    assert agents["malformed"].definition is None


def test_an_id_that_is_used_twice_is_nobodys():
    define("twice", file="a")
    define("twice", file="b")
    agents = checked()
    assert agents["twice"].definition is None
    assert agents["twice"].error == (
        "agents/a.yaml:1: the id 'twice' is also used by agents/b.yaml:1\n"
        "agents/b.yaml:1: the id 'twice' is also used by agents/a.yaml:1"
    )


def test_a_second_definition_of_an_id_takes_no_ready_agent_off():
    define_tiny("twice")
    before = tiny()["twice"]
    define("twice", None, file="a-copy", framework="tiny")
    define_tiny("other")
    seen = []
    agents = tiny(keep=True, approve=seen.append)
    why = "agents/a-copy.yaml:1: the id 'twice' is that of agents/twice.yaml:1: take another"
    assert agents["twice"] == before.model_copy(update={"warnings": [why]})
    assert seen == [Changes(new=["other"], changed={}, gone=[], same=1, refused={"twice": [why]})]
    # The first is an agent as any other.
    define_tiny("twice", "agent = [][3]\n")
    assert "IndexError" in (tiny()["twice"].error or "")


def test_an_agent_stays_where_others_have_its_id_and_its_own_file_is_gone():
    define_tiny("twice")
    before = tiny()["twice"]
    Path("agents/twice.yaml").unlink()
    for file in ("a", "b"):
        define("twice", None, file=file, framework="tiny")
    seen = []
    assert tiny(keep=True, approve=seen.append)["twice"].digest == before.digest
    assert "the id 'twice' is also used by agents/b.yaml:1" in seen[0].kept["twice"]
    assert tiny()["twice"].state == "broken"


def test_an_agent_that_ends_or_holds_up_its_process_is_broken_alone():
    define("a-good")
    define("b-dying", "import os, sys\nprint('last words', file=sys.stderr, flush=True)\nos._exit(3)\n")
    define("c-hanging", "import time\ntime.sleep(100)\n")
    define("d-good")
    for name in ("a-good", "b-dying", "c-hanging", "d-good"):
        Path(f"{name}_code.py").rename(f"{name.replace('-', '_')}_code.py")
        path = Path("agents", f"{name}.yaml")
        path.write_text(path.read_text().replace(f"{name}_code", f"{name.replace('-', '_')}_code"))
    agents = checked(seconds=8)
    assert [agent.state for agent in agents.values()] == ["ready", "broken", "broken", "ready"]
    assert agents["b-dying"].error == ("agents/b-dying.yaml:1: the check ended with exit code 3: last words")
    assert agents["c-hanging"].error == "agents/c-hanging.yaml:1: not loaded within 8 s"


def test_an_environment_that_is_not_there_is_a_reason(tmp_path):
    define("good")
    define("other", None, framework="crewai")
    agents = checked(langgraph=tmp_path / "none" / "python")
    assert "the environment of langgraph is not installed" in agents["good"].error
    assert agents["other"].state == "unused"
    assert agents["other"].error == (
        "crewai is not in use here: 'up --frameworks langgraph,llama-stack,crewai' runs it as well, "
        "'--frameworks all' every framework"
    )


def test_an_environment_without_the_framework_is_a_reason(tmp_path):
    define("good")
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'No module named k8gentai' >&2\nexit 1\n")
    python.chmod(0o755)
    assert "exit code 1: No module named k8gentai" in checked(langgraph=python)["good"].error
    python.chmod(0o644)
    assert "cannot be run: Permission denied" in checked(langgraph=python)["good"].error


def test_a_tool_that_cannot_be_had_is_named_with_the_line_of_its_field(here):
    Path("agents").mkdir()
    start = "apiVersion: kagent.dev/v1alpha1\nkind: Agent\nmetadata: {name: NAME}\nspec:\n"
    start += "  framework: langgraph\n  model: {name: m}\n  tools:\n"
    Path("broken_code.py").write_text("x = 1\nx / 0\n")
    for name, tools in {
        "raising": "    - name: a\n      function: shlex:split\n    - name: b\n      function: broken_code:f\n",
        "unknown": "    - name: a\n      agent: nobody\n",
        "command": "    - name: a\n      mcp:\n        command: no-such-program\n",
        "asking": "    - {name: a, function: shlex:split}\n    - {name: b, agent: asked}\n",
        "several": "    - {name: a, function: 'broken_code:f'}\n    - {name: b, agent: askedd}\n"
        "    - {name: c, mcp: {command: no-such-program}}\n    - {name: d, function: 'shlex:splitt'}\n",
        "asked": "    - {name: a, function: shlex:split}\n",
    }.items():
        Path("agents", f"{name}.yaml").write_text(start.replace("NAME", name) + tools)
    agents = checked()
    assert {name: agent.error for name, agent in agents.items()} == {
        "raising": f"agents/raising.yaml:11: spec.tools.1.function: {here}/broken_code.py:2: "
        "ZeroDivisionError: division by zero",
        "unknown": "agents/unknown.yaml:9: spec.tools.0.agent: there is no agent 'nobody'",
        "command": "agents/command.yaml:10: spec.tools.0.mcp.command: there is no program 'no-such-program'",
        "several": "agents/several.yaml:9: spec.tools.1.agent: there is no agent 'askedd'; did you mean 'asked'?\n"
        f"agents/several.yaml:8: spec.tools.0.function: {here}/broken_code.py:2: "
        "ZeroDivisionError: division by zero\n"
        "agents/several.yaml:10: spec.tools.2.mcp.command: there is no program 'no-such-program'\n"
        "agents/several.yaml:11: spec.tools.3.function: shlex:splitt: there is no 'splitt' in "
        f"{shlex.__file__}; did you mean 'split'?",
        "asking": None,
        "asked": None,
    }


def test_a_change_of_a_function_changes_the_digest(here):
    Path("agents").mkdir()
    Path("agents", "a.yaml").write_text(
        "apiVersion: kagent.dev/v1alpha1\nkind: Agent\nmetadata: {name: a}\nspec:\n  framework: langgraph\n"
        "  model: {name: m}\n  tools: [{name: f, function: 'own_tools:f'}]\n"
    )
    Path("own_tools.py").write_text("def f() -> None: ...\n")
    before = checked()["a"].digest
    Path("own_tools.py").write_text("def f() -> int: ...\n")
    assert checked()["a"].digest != before


TOOLS = """\
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph

@tool
def pay(amount: int) -> str:
    "Pay."

TOOLS = {t.name: t for t in [pay]}

def node(state):
    return {"messages": [TOOLS["pay"].invoke({"amount": 1})]}

agent = StateGraph(MessagesState).add_node("n", node).add_edge(START, "n")
"""


def test_a_rule_for_a_tool_that_is_not_there_is_refused_with_its_line(here):
    define("payer", TOOLS)
    path = Path("agents", "payer.yaml")
    text = path.read_text()
    path.write_text(text + "  tools:\n    - name: pya\n      approval: required\n")
    assert checked()["payer"].error == (
        "agents/payer.yaml:8: spec.tools.0.name: there is no tool 'pya'; did you mean 'pay'? The tools there are: "
        "pay. If it is made while a turn runs, write 'dynamic: true' beside its name"
    )
    path.write_text(text + "  tools:\n    - {name: pya, approval: required, dynamic: true}\n")
    agent = checked()["payer"]
    assert (agent.error, agent.tools) == (None, ["pay"])
    path.write_text(text + "  tools: [{name: pay, approval: required}]\n")
    assert checked()["payer"].error is None


@pytest.fixture
def tools_server():
    def note(line: str) -> str:
        return line

    server = McpServer("", note)
    server.start()
    yield server
    server.stop()


def test_tools_of_an_mcp_server_are_held_against_what_it_has(here, tools_server):
    """One that does not answer is a warning, until it does."""
    Path("agents").mkdir()
    for name, url, rest in (
        ("misspelt", tools_server.url, "        tools: [nota]\n"),
        ("ruled", tools_server.url, "    - {name: nota, approval: required}\n"),
        ("right", tools_server.url, "    - {name: note, approval: required}\n"),
        ("away", "http://127.0.0.1:9/mcp", "    - {name: nota, approval: required}\n"),
    ):
        Path("agents", f"{name}.yaml").write_text(
            f"apiVersion: kagent.dev/v1alpha1\nkind: Agent\nmetadata: {{name: {name}}}\nspec:\n"
            "  framework: langgraph\n  model: {name: m}\n  tools:\n"
            f"    - name: served\n      mcp:\n        url: {url}\n{rest}"
        )
    agents = checked()
    of_server = f"tool 'served': the MCP server {tools_server.url} "
    assert agents["misspelt"].error == (
        f"agents/misspelt.yaml:11: spec.tools.0.mcp.tools: {of_server}has no tool 'nota'; did you mean 'note'? "
        "It has: add, fail, note, wait"
    )
    assert "agents/ruled.yaml:11: spec.tools.1.name: there is no tool 'nota'; did you mean 'note'?" in (
        agents["ruled"].error or ""
    )
    assert [(agents[name].error, agents[name].state) for name in ("right", "away")] == [(None, "ready")] * 2
    assert agents["right"].warnings == []
    (warning,) = agents["away"].warnings
    assert warning == (
        "agents/away.yaml:9: spec.tools.0.mcp: tool 'served': the MCP server http://127.0.0.1:9/mcp cannot be "
        "reached (ConnectError). Its tools are checked when a turn begins"
    )
    assert checked()["away"].warnings == agents["away"].warnings


ADAPTER = """\
from types import SimpleNamespace

from k8gentai.agents.code.loading import load_object


class Tiny:
    framework = "tiny"
    default_concurrency = 1
    run = None

    def load(self, definition):
        load_object(definition.spec.entrypoint)
        return SimpleNamespace(definition=definition)
"""


UNTIL_LET = "while not pathlib.Path('let').exists():\n    time.sleep(0.01)\n"


def wait_for(condition) -> None:
    while not condition():
        time.sleep(0.01)


def define_tiny(name: str, code: str = "agent = 1\n") -> None:
    """An agent of a framework that is imported in no time."""
    Path("tiny_adapter.py").write_text(ADAPTER)
    define(name, code, framework="tiny")


def tiny(interpreter=Path(sys.executable), *, keep=False, environment=None, approve=lambda _: None):
    terms = Terms({"tiny": interpreter}, {"tiny": "tiny_adapter"}, keep=keep, environment=environment)
    return {agent.id: agent for agent in update(Path("agents"), Path("state/registry.json"), terms, approve)}


@pytest.fixture
def counting(tmp_path):
    """An interpreter that notes each of its starts, and how many there were."""
    python, starts = tmp_path / "bin" / "python", tmp_path / "starts"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\necho >> {starts}\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return python, lambda: len(starts.read_text().splitlines())


def test_a_module_that_is_not_there_is_named_at_the_line_of_the_entrypoint():
    define_tiny("lost")
    Path("lost_code.py").unlink()
    error = tiny()["lost"].error or ""
    assert error.startswith(
        f"agents/lost.yaml:6: spec.entrypoint: there is no module 'lost_code' (looked from {Path.cwd()}, and in "
    )


def test_where_a_module_was_looked_for_is_said(monkeypatch):
    define_tiny("lost")
    Path("lost_code.py").unlink()
    for path, said in (
        ("pa:pb", "in PYTHONPATH: pa:pb)"),
        ("", "in no other directory, as PYTHONPATH names none)"),
    ):
        monkeypatch.setenv("PYTHONPATH", path)
        assert tiny()["lost"].error.endswith(said)


def test_what_has_not_changed_is_not_checked_again(counting):
    python, starts = counting
    Path("helper.py").write_text("import pathlib\nTEXT = pathlib.Path('words.txt').read_text()\n")
    Path("words.txt").write_text("one")
    define_tiny("good", "import helper\nagent = 1\n")
    first = tiny(python)
    assert tiny(python) == first
    assert starts() == 1
    changes = (
        lambda: Path("helper.py").write_text("TEXT = open('words.txt').read()\n"),
        lambda: Path("words.txt").write_text("two"),
        lambda: define_tiny("other"),
        lambda: define_tiny("good", "import helper\nagent = 2\n"),
    )
    for times, change in enumerate(changes, start=2):
        change()
        assert tiny(python)["good"].state == "ready"
        assert starts() == times
        tiny(python)
        assert starts() == times


def test_an_agent_changes_with_all_that_its_code_is_in_or_reads():
    """Each file with the agents whose code is in it, or whose import read it."""
    files = {
        "shop/__init__.py": "",
        "shop/rates.py": "RATE = 1\n",
        "shop/pay.py": "from . import rates\nfrom .words import TEXT\ndef f():\n    from shop.late import late\n",
        "shop/late.py": "import shop.later\n",
        "shop/later.py": "",
        "shop/words.py": "TEXT = open('shop/words.txt').read()\n",
        "shop/words.txt": "one",
        "shop/unused.py": "",
        "loud.py": "def read(path):\n    return open(path).read()\n",
        "one.txt": "one",
        "two.txt": "two",
        "named.py": "",
        ".state/kept.txt": "one",
        ".env": "A=1",
    }
    for name, content in files.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(content)
    define_tiny("one", "import shop.pay as pay, loud\nagent = loud.read('one.txt') + loud.read('.env')\n")
    two = "import importlib, loud\nimportlib.import_module('named')\nloud.read('.state/kept.txt')\n"
    define_tiny("two", two + "agent = loud.read('two.txt')\n")
    define_tiny("three", "from shop.rates import RATE as agent\n")
    digests = {name: agent.digest for name, agent in tiny().items()}
    expected = {
        "shop/__init__.py": ["one", "three"],
        "shop/rates.py": ["one", "three"],
        "shop/late.py": ["one"],
        "shop/later.py": ["one"],
        "shop/words.txt": ["one"],
        "shop/unused.py": [],
        "loud.py": ["one", "two"],
        "two.txt": ["two"],
        "named.py": ["two"],
        ".state/kept.txt": [],
        ".env": ["one"],
    }
    found = {}
    for name in expected:
        Path(name).write_text(f"{files[name]}\n#")
        now = {agent_id: agent.digest for agent_id, agent in tiny().items()}
        found[name] = sorted(agent_id for agent_id in now if now[agent_id] != digests[agent_id])
        digests = now
    assert found == expected


def test_a_file_that_its_reader_writes_is_no_change_of_its_own():
    write = "import os, pathlib\npathlib.Path('n').write_text(pathlib.Path('n').read_text() + str(os.getpid()))\n"
    Path("n").write_text("0")
    define_tiny("counts", write + "agent = 1\n")
    before = tiny()["counts"].digest
    assert tiny()["counts"].digest == before


def test_code_is_taken_up_whose_file_has_a_time_that_is_still_to_come():
    """As of a file system with another clock."""
    ahead = time.time() + 3600
    digests = []
    for content in ("agent = 1\n", "agent = 2\n"):
        define_tiny("ahead", content)
        os.utime("ahead_code.py", (ahead, ahead))
        digests.append(tiny()["ahead"].digest)
    assert len({*digests}) == 2


def test_a_fingerprint_is_taken_once_of_what_did_not_change(monkeypatch):
    big = Path("big")
    os.truncate(os.open(big, os.O_CREAT | os.O_RDWR), 100)
    first = fingerprint(str(big))
    later = time.time_ns() + 10_000_000_000
    monkeypatch.setattr(time, "time_ns", lambda: later)
    assert fingerprint(str(big)) == first
    monkeypatch.setattr(Path, "open", None)
    assert fingerprint(str(big)) == first


def test_a_file_that_just_changed_is_read_for_its_fingerprint(monkeypatch):
    """The clocks of disks are coarse: the next change may leave all times as they are."""
    file = Path("file")
    file.write_text("1")
    status = file.stat()
    monkeypatch.setattr(Path, "stat", lambda _, **__: status)
    monkeypatch.setattr(time, "time_ns", lambda: status.st_ctime_ns + 1)
    first = fingerprint("file")
    file.write_text("2")
    assert fingerprint("file") != first


def test_an_agent_changes_with_the_program_of_its_mcp_server(here, monkeypatch):
    monkeypatch.syspath_prepend(here)
    Path("agents").mkdir()
    Path("agents/a.yaml").write_text(
        "apiVersion: kagent.dev/v1alpha1\nkind: Agent\nmetadata: {name: a}\nspec:\n  framework: langgraph\n"
        "  model: {name: m}\n  tools:\n"
        f"    - {{name: one, mcp: {{command: {sys.executable}, args: [server.py, words.txt]}}}}\n"
        f"    - {{name: two, mcp: {{command: {sys.executable}, args: [-m, served]}}}}\n"
    )
    for name in ("server.py", "words.txt", "served.py", "shared.py"):
        Path(name).write_text("import shared\n")
    definition = read_definitions(Path("agents"))[0].definition
    assert definition is not None
    assert files_of(definition) == {str(Path(name).absolute()) for name in ("server.py", "served.py", "shared.py")}


def test_an_agent_of_an_installed_package_is_not_checked_again(counting):
    python, starts = counting
    define_tiny("good")
    path = Path("agents/good.yaml")
    path.write_text(path.read_text().replace("good_code:agent", "pytest:mark"))
    assert tiny(python) == tiny(python)
    assert starts() == 1


def test_a_registry_of_an_earlier_version_is_made_anew(counting):
    python, starts = counting
    define_tiny("good")
    first = tiny(python)
    stored = Path("state/registry.json")
    content = json.loads(stored.read_text())
    del content["agents"][0]["files"], content["checked"]["tiny"]["variables"]
    stored.write_text(json.dumps(content))
    assert tiny(python) == first
    assert starts() == 2


def test_what_was_broken_is_checked_again(counting):
    python, starts = counting
    define_tiny("good")
    define_tiny("raising", "agent = [][3]\n")
    tiny(python)
    tiny(python)
    assert starts() == 2


def test_what_changes_is_named_before_it_is_written():
    for name in ("altered", "spoilt", "taken", "untouched"):
        define_tiny(name)
    tiny()
    define_tiny("altered", "agent = 2\n")
    define_tiny("spoilt", "agent = [][3]\n")
    define_tiny("added")
    Path("agents/taken.yaml").unlink()
    Path("agents/hollow.yaml").write_text("# later\n---\n")
    seen = []
    agents = tiny(approve=seen.append)
    changed = {"altered": "ready", "spoilt": "ready -> broken"}
    assert seen == [Changes(new=["added"], changed=changed, gone=["taken"], same=1, empty=["agents/hollow.yaml"])]
    assert "taken" not in agents


def test_what_is_refused_leaves_the_registry_as_it_is():
    define_tiny("one")
    before = tiny()
    Path("agents/one.yaml").unlink()

    def refuse(changes: Changes) -> None:
        assert changes.empties
        raise RuntimeError

    with pytest.raises(RuntimeError):
        tiny(approve=refuse)
    assert Registry(Path("state/registry.json")).list() == list(before.values())


@pytest.mark.parametrize(
    ("gone", "same", "empties"), [(1, 1, False), (2, 1, True), (1, 0, True), (0, 0, False), (17, 1, True)]
)
def test_more_than_half_is_too_many(gone, same, empties):
    changes = Changes(new=["x"], changed={}, gone=[str(n) for n in range(gone)], same=same)
    assert changes.empties is empties


def test_definitions_that_are_none_any_more_count_as_gone():
    for name in ("one", "two", "three"):
        define_tiny(name)
    tiny()
    for name in ("one", "two"):
        Path(f"agents/{name}.yaml").write_text("<<<<<<< HEAD\n: [\n")
    seen = []
    tiny(approve=seen.append)
    (found,) = seen
    assert list(found.undefined) == ["one", "two"]
    assert found.undefined["one"].startswith("agents/one.yaml:")
    assert found.empties
    # Code that does not load is no reason: it is what a check is for.
    assert not Changes(new=[], changed={"one": "ready -> broken"}, gone=[], same=0).empties


@pytest.mark.parametrize("content", ["", "{"])
def test_a_map_that_cannot_be_read_is_not_emptied_unasked(content):
    define_tiny("one")
    tiny()
    Path("state/registry.json").write_text(content)
    seen = []
    tiny(approve=seen.append)
    Path("state/registry.json").write_text(content)
    Path("agents/one.yaml").unlink()
    tiny(approve=seen.append)
    assert [found.empties for found in seen] == [False, True]


def test_nor_for_definitions_that_are_none():
    define_tiny("one")
    tiny()
    Path("state/registry.json").write_text("{")
    Path("agents/one.yaml").write_text("<<<<<<< HEAD\n: [\n")
    seen = []
    tiny(approve=seen.append)
    define_tiny("two")
    Path("state/registry.json").write_text("{")
    tiny(approve=seen.append)
    assert [found.empties for found in seen] == [True, False]
    assert seen[0].undefined["one"].startswith("agents/one.yaml:")


def test_a_variable_that_is_missing_takes_no_agent_off(monkeypatch):
    define_tiny("good")
    path = Path("agents/good.yaml")
    path.write_text(f"{path.read_text()}  model: {{name: '${{env.A_MODEL}}'}}\n")
    monkeypatch.setenv("A_MODEL", "m1")
    ready = tiny()
    monkeypatch.delenv("A_MODEL")
    seen = []
    reason = (
        "agents/good.yaml:7: spec.model.name: the environment variable A_MODEL is not set, and there is no default"
    )
    kept = tiny(keep=True, approve=seen.append)["good"]
    assert kept == ready["good"].model_copy(update={"warnings": [f"was not checked again: {reason}"]})
    assert (seen[0].kept, seen[0].changed, seen[0].same) == ({"good": reason}, {}, 1)
    assert tiny()["good"].state == "broken"
    # Nothing stands that could be kept.
    assert tiny(keep=True)["good"].state == "broken"


def test_of_several_faults_one_that_is_no_missing_variable_breaks_an_agent(monkeypatch):
    Path("agents").mkdir()
    Path("needy.py").write_text("import os\n\nURL = os.environ['A_URL']\n\ndef f():\n    ...\n")
    tools = "[{name: a, function: 'needy:f'}, {name: b, function: 'needy:f'}]"
    path = Path("agents", "a.yaml")
    path.write_text(
        "apiVersion: kagent.dev/v1alpha1\nkind: Agent\nmetadata: {name: a}\nspec:\n  framework: langgraph\n"
        f"  model: {{name: m}}\n  tools: {tools}\n"
    )
    terms = Terms({"langgraph": Path(sys.executable)}, keep=True)

    def state():
        (agent,) = update(Path("agents"), Path("registry.json"), terms)
        return agent.state

    monkeypatch.setenv("A_URL", "u")
    assert state() == "ready"
    monkeypatch.delenv("A_URL")
    assert state() == "ready"
    path.write_text(path.read_text().replace("}]", "}, {name: c, function: 'shlex:nothing'}]"))
    assert state() == "broken"


SETTINGS = """\
from pydantic_settings import BaseSettings

class Shop(BaseSettings, env_prefix="A_"):
    url: str

agent = Shop()
"""


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import os\nagent = os.environ['A_URL']\n", "KeyError: 'A_URL'"),
        ("import os\nagent = os.getenv('A_URL')\nif not agent:\n    raise ValueError('set A_URL')\n", "set A_URL"),
        (SETTINGS, "url\n  Field required"),
    ],
)
def test_a_variable_that_code_lacks_takes_no_agent_off(monkeypatch, code, reason):
    define_tiny("good", code)
    define_tiny("other")
    monkeypatch.setenv("A_URL", "u")
    assert tiny()["good"].state == "ready"
    monkeypatch.delenv("A_URL")
    define_tiny("other", "agent = 2\n")
    seen = []
    agents = tiny(keep=True, approve=seen.append)
    assert agents["good"].state == "ready"
    assert reason in agents["good"].warnings[0]
    assert (list(seen[0].kept), seen[0].changed) == (["good"], {"other": "ready"})
    # It is not taken for checked: the next check loads it.
    monkeypatch.setenv("A_URL", "u")
    assert tiny(keep=True)["good"].warnings == []
    monkeypatch.delenv("A_URL")
    define_tiny("good", code + "# changed\n")
    assert tiny()["good"].state == "broken"


@pytest.mark.parametrize(
    ("name", "code", "reason"),
    [
        ("A_URL", "import os\nagent = os.environ['A_URL']\n", "KeyError: 'A_URL'"),
        ("PYTHONPATH", "from proj import agent\n", "ModuleNotFoundError: No module named 'proj'"),
    ],
)
def test_what_the_workers_do_not_have_makes_no_agent_ready_and_takes_none_off(monkeypatch, name, code, reason):
    theirs = dict(os.environ)
    Path("src").mkdir()
    Path("src/proj.py").write_text("agent = 1\n")
    define_tiny("good")
    tiny(environment=theirs)
    define_tiny("good", code)
    define_tiny("fresh", code)
    monkeypatch.setenv(name, str(Path("src").resolve()))
    agents = tiny(keep=True, environment=theirs)
    hint = f"{reason}. The workers of the running 'up' do not have {name} of this shell: start 'up' again with it"
    assert (agents["good"].state, agents["fresh"].state) == ("ready", "broken")
    assert agents["good"].warnings[0].endswith(hint)
    assert agents["fresh"].error.endswith(hint)
    # Where 'up' is started with it, it is theirs.
    assert {agent.state for agent in tiny(environment=dict(os.environ)).values()} == {"ready"}


def test_a_change_that_would_cost_a_kept_agent_its_worker_waits():
    theirs = dict(os.environ)
    define_tiny("kept")
    define_tiny("changed")
    before = tiny(environment=theirs)
    define_tiny("kept", "import os\nagent = os.environ['A_URL']\n")
    define_tiny("changed", "agent = 2\n")
    define_tiny("fresh")
    seen = []
    agents = tiny(keep=True, environment=theirs, approve=seen.append)
    assert {name: agents[name].digest for name in before} == {name: before[name].digest for name in before}
    reason = "a worker that is started again for it could not load kept: mend that first"
    assert (seen[0].kept["changed"], seen[0].changed, seen[0].new) == (reason, {}, ["fresh"])
    define_tiny("kept", "agent = 3\n")
    agents = tiny(keep=True, environment=theirs, approve=seen.append)
    assert (list(seen[1].changed), seen[1].kept) == (["changed", "kept"], {})


def test_a_variable_that_is_no_longer_set_is_looked_for_again(monkeypatch):
    define_tiny("good", "import os\nagent = os.environ['A_URL']\n")
    monkeypatch.setenv("A_URL", "secret")
    assert tiny()["good"].state == "ready"
    assert "secret" not in Path("state/registry.json").read_text()
    monkeypatch.delenv("A_URL")
    assert tiny()["good"].state == "broken"


@pytest.mark.parametrize("lacks", [False, True])
def test_where_modules_are_found_belongs_to_what_is_compared(monkeypatch, lacks):
    """The same module may be another one there, or none."""
    Path("pa").mkdir()
    Path("pb").mkdir()
    Path("pa/proj.py").write_text("agent = 1\n")
    if not lacks:
        Path("pb/proj.py").write_text("raise ValueError('the other one')\n")
    define_tiny("good", "from proj import agent\n")
    monkeypatch.setenv("PYTHONPATH", "pa")
    assert tiny()["good"].state == "ready"
    monkeypatch.setenv("PYTHONPATH", "pb")
    agent = tiny()["good"]
    assert agent.state == "broken"
    assert ("No module named 'proj'" if lacks else "the other one") in agent.error


def test_a_path_to_modules_that_is_not_set_here_takes_no_agent_off(monkeypatch):
    Path("src").mkdir()
    Path("src/proj.py").write_text("agent = 1\n")
    define_tiny("good", "from proj import agent\n")
    monkeypatch.setenv("PYTHONPATH", "src")
    ready = tiny()["good"]
    monkeypatch.delenv("PYTHONPATH")
    kept = tiny(keep=True)["good"]
    assert (kept.state, kept.digest) == ("ready", ready.digest)
    hint = "No module named 'proj'. PYTHONPATH was set when it was last checked, and is not now"
    assert kept.warnings[0].endswith(hint)
    # What starts the workers itself knows that they lack it.
    assert tiny()["good"].state == "broken"


@pytest.mark.parametrize(
    ("terms", "state"),
    [({}, "broken"), ({"keep": True, "environment": {"PATH": os.environ["PATH"]}}, "ready")],
    ids=["up", "beside up"],
)
@pytest.mark.parametrize("shell", ["", "src"])
def test_workers_that_lack_the_path_to_modules_are_to_be_started_again_with_it(monkeypatch, terms, state, shell):
    """Said once, by an `up` and beside one."""
    Path("src").mkdir()
    Path("src/proj.py").write_text("agent = 1\n")
    define_tiny("good", "from proj import agent\n")
    monkeypatch.setenv("PYTHONPATH", "src")
    assert tiny()["good"].state == "ready"
    monkeypatch.setenv("PYTHONPATH", shell)
    agent = tiny(**terms)["good"]
    if shell and not terms:
        assert agent.state == "ready"
        return
    told = agent.error or agent.warnings[0]
    assert (agent.state, told.count("start 'up' again with it")) == (state, 1), told


def test_the_directory_that_modules_are_found_from_belongs_to_it(counting, monkeypatch):
    python, starts = counting
    define_tiny("good")
    registry, agents = Path("state/registry.json").absolute(), Path("agents").absolute()
    terms = Terms({"tiny": python}, {"tiny": "tiny_adapter"})
    for times in (1, 1):
        assert [agent.state for agent in update(agents, registry, terms)] == ["ready"]
        assert starts() == times
    Path("elsewhere").mkdir()
    shutil.copy("tiny_adapter.py", "elsewhere")
    monkeypatch.chdir("elsewhere")
    (agent,) = update(agents, registry, terms)
    assert starts() == 2
    assert "there is no module 'good_code'" in (agent.error or "")


BY_THE_VALUE = {
    "code": "import os\nif os.getenv('A_KIND') == 'bad':\n    raise ValueError('A_KIND is bad')\nagent = 1\n",
    "library": "import tiny_library\ntiny_library.kind()\nagent = 1\n",
    "settings": SETTINGS.replace("url: str", "url: str = ''\n    kind: Literal['good', 'fine'] = 'good'").replace(
        "from", "from typing import Literal\nfrom", 1
    ),
}


@pytest.mark.parametrize("code", BY_THE_VALUE.values(), ids=BY_THE_VALUE)
def test_a_variable_whose_value_changes_is_looked_up_again(counting, monkeypatch, code):
    python, starts = counting
    define_tiny("good", code)
    Path("tiny_library.py").write_text(
        "import os\ndef kind():\n    if os.environ['A_KIND'] == 'bad':\n        raise ValueError('a bad kind')\n"
    )
    for value in ("good", "fine"):
        monkeypatch.setenv("A_KIND", value)
        for _ in range(2):
            assert tiny(python)["good"].state == "ready"
    assert starts() == 2
    assert "fine" not in Path("state/registry.json").read_text()
    monkeypatch.setenv("A_KIND", "bad")
    assert tiny(python)["good"].state == "broken"


@pytest.mark.parametrize(
    "code",
    [
        # The value is that of the code itself.
        "import os\nos.environ['A_KIND'] = 'own'\nassert os.environ['A_KIND'] == 'own'\nagent = 1\n",
        "import os\nagent = len({**os.environ})\n",
        "import os\nagent = [value for value in os.environ.values()]\n",
    ],
)
def test_a_variable_that_no_code_goes_by_costs_no_check(counting, monkeypatch, code):
    python, starts = counting
    define_tiny("good", code)
    for value in ("good", "other"):
        monkeypatch.setenv("A_SHELL", value)
        assert tiny(python)["good"].state == "ready"
    assert starts() == 1


def test_code_that_is_wrong_is_broken_whatever_variables_it_lacks():
    define_tiny("good")
    tiny()
    define_tiny("good", "import os\nos.getenv('IDE')\nraise ValueError('DECIDE on IDE-as')\n")
    assert tiny(keep=True)["good"].state == "broken"


def test_of_two_checks_at_once_the_later_keeps_what_the_other_registered():
    """The first is held up while it imports; the second begins, and must see what the first wrote."""
    define_tiny("slow", "import pathlib, time\npathlib.Path('began').touch()\n" + UNTIL_LET + "agent = 1\n")
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(tiny)
        wait_for(Path("began").exists)
        define_tiny("newer")
        second = threads.submit(tiny)
        Path("let").touch()
        assert set(first.result()) == {"slow"}
        assert set(second.result()) == {"newer", "slow"}
    assert [agent.state for agent in Registry(Path("state/registry.json")).list() if agent.id == "newer"] == [
        "ready"
    ]


def test_a_check_that_does_not_end_is_named(monkeypatch):
    define_tiny("one")
    monkeypatch.setattr(file_store, "_CLAIM_SECONDS", 0)
    with (
        file_store.FileStore(Path("state/registry.json")).claim(),
        pytest.raises(TimeoutError, match="another check"),
    ):
        tiny()


def test_a_resource_of_another_kind_is_no_agent_and_its_faults_are_told(monkeypatch):
    monkeypatch.setitem(KINDS, "Lamp", Lamp)
    define_tiny("good")
    lamp = Path("agents", "lamp.yaml")
    seen: list[Changes] = []
    for text in (LAMP, LAMP.replace("watts", "wats")):
        lamp.write_text(text)
        assert tiny(approve=seen.append).keys() == {"good"}
    assert [list(found.faulty) for found in seen] == [
        [],
        [
            "agents/lamp.yaml:4: spec.watts: is missing",
            "agents/lamp.yaml:5: spec.wats: there is no such field; did you mean 'watts'?",
        ],
    ]
    assert [found.empty for found in seen] == [[], []]


def test_fields_that_nothing_reads_are_registered_and_do_not_have_agents_checked_again(counting):
    python, starts = counting
    define_tiny("good")
    definition = Path("agents/good.yaml")
    definition.write_text(f"{definition.read_text()}  memory: {{type: redis}}\n")
    for _ in range(2):
        assert tiny(python)["good"].not_used == "agents/good.yaml:7: spec.memory"
    assert starts() == 1
