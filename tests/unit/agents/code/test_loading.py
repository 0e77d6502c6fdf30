"""Importing entrypoints: what fails is named with the file and line in the agent's own code."""

import subprocess
import sys
from typing import Any

import pytest

from k8gentai.agents.code.loading import load_object
from k8gentai.agents.contract.turn import AgentLoadError


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("loaded_")]:
        del sys.modules[name]


def refused(entrypoint: str) -> AgentLoadError:
    with pytest.raises(AgentLoadError) as caught:
        load_object(entrypoint)
    return caught.value


def test_an_object_and_an_objects_attribute(here):
    (here / "loaded_a.py").write_text("class Team:\n    lead = 'Ada'\n")
    team: Any = load_object("loaded_a:Team")
    assert team.lead == "Ada"
    assert load_object("loaded_a:Team.lead") == "Ada"


def test_a_module_is_imported_once_whatever_becomes_of_it(here):
    """Changed code is for another process."""
    (here / "loaded_b.py").write_text("agent = [1]\n")
    first = load_object("loaded_b:agent")
    (here / "loaded_b.py").write_text("agent = [2]\n")
    assert load_object("loaded_b:agent") is first


def test_another_process_sees_a_change_within_the_second(here):
    (here / "loaded_h.py").write_text("text = 1\n")
    (here / "loaded_i.py").write_text("from loaded_h import text as agent\n")
    assert load_object("loaded_i:agent") == 1
    (here / "loaded_h.py").write_text("text = 2\n")
    code = "from loaded_i import agent; print(agent)"
    done = subprocess.run([sys.executable, "-c", code], cwd=here, capture_output=True, text=True, check=True)
    assert done.stdout == "2\n"


def test_a_module_that_was_mended_is_imported(here):
    (here / "loaded_c.py").write_text("agent = 1 / 0\n")
    refused("loaded_c:agent")
    (here / "loaded_c.py").write_text("agent = 1 / 1\n")
    assert load_object("loaded_c:agent") == 1


def test_the_innermost_frame_of_the_agents_own_code_is_named(here):
    (here / "loaded_helper.py").write_text("import json\n\ndef read():\n    return json.loads('{')\n")
    (here / "loaded_d.py").write_text("from loaded_helper import read\nagent = read()\n")
    error = refused("loaded_d:agent")
    assert (error.file, error.line) == (str(here / "loaded_helper.py"), 4)
    assert error.reason.startswith("JSONDecodeError: Expecting property name")


@pytest.mark.parametrize(
    ("code", "line", "reason"),
    [
        ("x = 1\nimport loaded_nothing\n", 2, "ModuleNotFoundError: No module named 'loaded_nothing'"),
        ("x = 1\nagent = (\n", 2, "SyntaxError: '(' was never closed"),
        ("raise SystemExit('bye')\n", 1, "SystemExit: bye"),
    ],
)
def test_why_a_module_cannot_be_imported(here, code, line, reason):
    (here / "loaded_e.py").write_text(code)
    error = refused("loaded_e:agent")
    assert (error.file, error.line, error.reason) == (str(here / "loaded_e.py"), line, reason)


def test_a_module_or_an_object_that_is_not_there(here):
    assert "there is no module 'loaded_gone' for loaded_gone.agents" in str(refused("loaded_gone.agents:a"))
    (here / "loaded_f.py").write_text("agent = 1\n")
    error = refused("loaded_f:agnet")
    assert str(error) == "loaded_f:agnet: there is no 'agnet' in loaded_f.py; did you mean 'agent'?"
