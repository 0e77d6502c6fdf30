"""What ``up`` shows of its steps."""

import io
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from k8gentai.stack.environments.hosts import HOSTS
from k8gentai.stack.local.settings import read_settings
from k8gentai.stack.local.up import Plan, _Stack


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
    taken = f"The agents are those of {agents}, as last time: AMF_AGENTS names another directory."
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
    warning = f"two: {agents}/two.yaml:4: not used: spec.memory (line 4)"
    assert await started() == [taken, "Checking the agents", warning]
