"""Adapters that are not ours: only an operator names them, and what is wrong with one is said in a line."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from k8gentai.agents.contract.turn import FoundTools
from k8gentai.agents.registry.check import update
from k8gentai.agents.registry.check_terms import Terms
from k8gentai.agents.registry.named_adapter import AdapterError, load_adapter
from k8gentai.stack.environments.frameworks import NamedAdapter, all_frameworks, named_adapters, python_of
from k8gentai.stack.environments.installed import SetUpError
from k8gentai.stack.local.services import worker_command
from tests.support.processes import ROOT

THEIRS = "tests.conformance.third_party.adapter"


@pytest.mark.parametrize("reference", [THEIRS, f"{THEIRS}:LoopAdapter"])
def test_an_adapter_is_found_by_its_module_or_its_class(reference: str) -> None:
    assert load_adapter(reference).framework == "loop"


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("tests.nothing", "No module named 'tests.nothing'"),
        (f"{THEIRS}:LoadedLoop", "LoadedLoop is no adapter: it lacks framework, default_concurrency"),
        (f"{THEIRS}:Other", "Other is no adapter: it is no class"),
        ("tests.conformance.third_party.loop", "it has none: name one as"),
    ],
)
def test_what_is_none_is_told_with_the_reason(reference: str, says: str) -> None:
    with pytest.raises(AdapterError, match=says):
        load_adapter(reference)


def test_an_operator_names_adapters_and_their_interpreters() -> None:
    found = named_adapters({"AMF_ADAPTERS": " echo=my.adapter:Echo@/opt/echo/bin/python, loop=other.adapter,"})
    assert found == {
        "echo": NamedAdapter("echo", "my.adapter:Echo", Path("/opt/echo/bin/python")),
        "loop": NamedAdapter("loop", "other.adapter", Path(sys.executable)),
    }
    for named in found.values():
        assert named_adapters({"AMF_ADAPTERS": str(named)}) == {named.framework: named}


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("my.adapter", "'my.adapter' is not of the form FRAMEWORK=MODULE:CLASS@PYTHON"),
        ("Echo=my.adapter", "'Echo=my.adapter' is not of the form"),
        ("crewai=my.adapter", "there is an adapter of 'crewai' already"),
    ],
)
def test_what_cannot_be_read_is_told(value: str, says: str) -> None:
    with pytest.raises(SetUpError, match=says):
        named_adapters({"AMF_ADAPTERS": value})


def test_a_named_framework_is_one_of_those_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMF_ADAPTERS", f"loop={THEIRS},gone={THEIRS}@/nowhere/python")
    assert {"langgraph", "loop"} < set(all_frameworks())
    assert python_of("loop", print) == Path(sys.executable)
    with pytest.raises(SetUpError, match="there is no /nowhere/python to run 'gone' with"):
        python_of("gone", print)


def test_its_agents_are_checked_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("INFERENCE_MODEL", "some-model")
    agents = ROOT / "tests" / "conformance" / "third_party" / "conformance"
    registry = tmp_path / "registry.json"
    found = update(agents, registry, Terms({"loop": Path(sys.executable)}, {"loop": THEIRS}))
    assert {agent.state for agent in found} == {"ready"}
    found = update(agents, registry, Terms({"loop": Path(sys.executable)}))
    assert {agent.state for agent in found} == {"broken"}
    assert all("unknown framework 'loop'" in (agent.error or "") for agent in found)


def test_a_worker_says_what_its_operator_named_wrong() -> None:
    done = subprocess.run(
        worker_command(sys.executable, "loop"),
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "AMF_ADAPTERS": f"loop={THEIRS}@/nowhere/python"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "there is no /nowhere/python to run 'loop' with" in done.stderr


def test_a_class_of_adapter_that_does_not_run_agents_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "halves.py").write_text(
        "from k8gentai.agents.contract.turn import Adapter\n"
        "class Half(Adapter):\n"
        "    framework, default_concurrency = 'half', 1\n"
        "    def load(self, definition): ...\n"
        "class Whole(Half):\n"
        "    def run(self, agent, turn, context): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(AdapterError, match=r"abstract method '?run'?"):
        load_adapter("halves:Half")
    whole = load_adapter("halves:Whole")
    agent: Any = object()
    assert (whole.tools(agent), whole.refuses(agent)) == (FoundTools(), frozenset())
