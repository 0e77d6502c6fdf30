"""What ``up`` shows of its steps."""

import asyncio
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from k8gentai.agents.registry.registry import RegisteredAgent
from k8gentai.stack.environments.hosts import HOSTS
from k8gentai.stack.local import up, welcome
from k8gentai.stack.local.settings import read_settings
from k8gentai.stack.local.up import EXAMPLE, Plan, _Stack


def test_off_a_terminal_each_step_has_a_line_before_it_is_done() -> None:
    shown = io.StringIO()
    console = Console(file=shown)
    plan = Plan(8321, next(iter(HOSTS.values())), ("langgraph",), once=True)
    with _Stack(plan, read_settings(), console).doing("Checking the agents"):
        assert shown.getvalue() == "Checking the agents\n"


DEFINITION = """\
apiVersion: kagent.dev/v1alpha1
kind: Agent
metadata: {{name: {name}}}
spec: {{framework: langgraph, entrypoint: "nowhere:agent"}}
"""


async def test_what_changed_since_the_last_start_is_shown(tmp_path: Path) -> None:
    agents = tmp_path / "agents"
    agents.mkdir()
    settings = replace(read_settings(), agents=agents, registry=tmp_path / "registry.json", remembers_agents=True)
    plan = Plan(8321, next(iter(HOSTS.values())), ("llama-stack",), once=True)

    async def started() -> list[str]:
        shown = io.StringIO()
        await _Stack(plan, settings, Console(file=shown, width=400))._register_agents()
        return shown.getvalue().splitlines()

    (agents / "one.yaml").write_text(DEFINITION.format(name="one"))
    taken = f"The agents are those of {agents}, as last time; set AMF_AGENTS to take those of another."
    (agents / "hollow.yaml").touch()
    hollow = f"{agents}/hollow.yaml defines no agent: it is empty."
    assert await started() == [taken, "Checking the agents", hollow]
    for name in ("one", "hollow"):
        (agents / f"{name}.yaml").unlink()
    (agents / "two.yaml").write_text(DEFINITION.format(name="two"))
    assert await started() == [taken, "Checking the agents", "New: two", "Gone: one"]
    assert await started() == [taken, "Checking the agents"]
    (agents / "two.yaml").write_text(
        DEFINITION.format(name="two").replace("spec: {", "spec: {memory: {type: redis}, ")
    )
    warning = f"two: not used: {agents}/two.yaml:4: spec.memory"
    assert await started() == [taken, "Checking the agents", warning]


async def test_a_new_agent_that_is_broken_is_said_to_be(tmp_path: Path) -> None:
    settings = replace(read_settings(), agents=tmp_path, registry=tmp_path / "registry.json")
    plan = Plan(8321, next(iter(HOSTS.values())), ("llama-stack",), once=True)
    shown = io.StringIO()
    for name, spec in (("first", "model: {name: m}"), ("fit", "model: {name: m}"), ("unfit", "memory: 5")):
        (tmp_path / f"{name}.yaml").write_text(
            f"apiVersion: kagent.dev/v1alpha1\nkind: Agent\nmetadata: {{name: {name}}}\n"
            f"spec: {{framework: llama-stack, {spec}}}\n"
        )
        if name != "fit":
            await _Stack(plan, settings, Console(file=shown, width=400))._register_agents()
    assert shown.getvalue().splitlines()[-1] == "New: fit, unfit (broken)"


async def test_agents_of_another_directory_take_the_place_of_the_last_ones_and_the_way_back_is_said(
    tmp_path: Path,
) -> None:
    shown = io.StringIO()
    for name in ("first", "second"):
        agents = tmp_path / name
        agents.mkdir()
        (agents / "agent.yaml").write_text(DEFINITION.format(name=name))
        settings = replace(read_settings(), agents=agents, registry=tmp_path / "registry.json")
        plan = Plan(8321, next(iter(HOSTS.values())), ("llama-stack",), once=True)
        await _Stack(plan, settings, Console(file=shown, width=400))._register_agents()
    assert shown.getvalue().splitlines()[-3:] == [
        "New: second",
        "Gone: first",
        f"What is gone was defined in {tmp_path}/first: AMF_AGENTS={tmp_path}/first takes it up again.",
    ]


@pytest.mark.parametrize(
    ("states", "well"),
    [
        ({}, False),
        ({"own": "ready"}, True),
        ({"own": "ready", "other": "unused"}, True),
        ({"other": "unused"}, False),
        ({"own": "ready", "other": "broken"}, False),
        ({EXAMPLE: "broken", "own": "ready"}, False),
        ({EXAMPLE: "ready", "other": "broken"}, True),
    ],
)
async def test_one_that_ends_at_once_says_whether_all_is_well(
    monkeypatch: pytest.MonkeyPatch, states: dict[str, Any], *, well: bool
) -> None:
    async def ask(*_: object) -> bool:
        return True

    monkeypatch.setattr(up, "ask", ask)
    agents = [
        RegisteredAgent(id=name, framework="langgraph", state=state, error="a fault", file="a.yaml", digest="")
        for name, state in states.items()
    ]
    children: Any = NeverFails()
    shown = io.StringIO()
    console = Console(file=shown, width=400)
    assert await up._ask_example(children, "http://here", agents, console) is well
    welcome.show_unready(agents, console)
    assert ("a fault" in shown.getvalue()) is ("broken" in states.values())


class NeverFails:
    """Children that live on."""

    async def failed(self) -> None:
        await asyncio.Event().wait()
