"""The command: its help comes at once, and what a person can mend is one line."""

import errno
import io
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import structlog
from rich.console import Console
from typer.testing import CliRunner

from k8gentai.agents.adapters import FRAMEWORKS
from k8gentai.agents.registry.changes import Changes
from k8gentai.agents.registry.registry import RegisteredAgent, write_registry
from k8gentai.agents.resources.agent import AgentDefinition
from k8gentai.stack.commands import cli
from k8gentai.stack.commands.agents import decision_of
from k8gentai.stack.commands.turns import list_turns
from k8gentai.stack.environments import installed as environments
from k8gentai.stack.environments.frameworks import USUAL, frameworks_here
from k8gentai.stack.environments.installed import SetUpError
from k8gentai.stack.environments.product import Clone
from k8gentai.stack.local import agents_update as registering
from k8gentai.stack.local import pidfile
from k8gentai.stack.local.examples import place_examples
from k8gentai.stack.local.pidfile import Notice
from k8gentai.stack.local.settings import AGENTS, REGISTRY, Settings, read_settings
from k8gentai.stack.local.up import planned

runner = CliRunner()
HEAVY = ("redis", "httpx", "fastapi", "pydantic", "llama_stack", "langgraph")


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """Commands have logs written to a standard error that ends with the test."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def test_help_imports_nothing_heavy() -> None:
    program = f"import sys; import k8gentai.stack.commands.cli; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        (SetUpError("no such thing"), "no such thing"),
        (SetUpError("no a:b: here [x]"), "no a:b: here [x]"),
        (OSError(errno.ENOSPC, "No space left on device", "/some/file"), "The disk is full (/some/file)"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "agents"), "Not a directory: 'agents'"),
    ],
)
def test_what_a_person_can_mend_is_one_line(
    raised: Exception, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr(registering, "update", fail)
    done = runner.invoke(cli.app, ["agents", "update"])
    assert done.exit_code == 1
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_list_names_the_broken_with_their_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = tmp_path / "registry.json"
    monkeypatch.setenv("AMF_REGISTRY", str(registry))
    assert "run './scripts/update-registry'" in runner.invoke(cli.app, ["agents", "list"]).stderr
    good = RegisteredAgent(id="good", framework="langgraph", state="ready", file="a.yaml", digest="1")
    bad = RegisteredAgent(
        id="bad", framework="ag2", state="broken", file="b.yaml", digest="2", error="b.yaml:3: [no] such module"
    )
    write_registry(registry, [good, bad])
    shown = runner.invoke(cli.app, ["agents", "list"])
    assert shown.exit_code == 0
    assert "bad: b.yaml:3: [no] such module" in shown.stdout


@pytest.mark.parametrize(
    ("words", "decision"),
    [
        ("y", (True, None)),
        (" No ", (False, None)),
        ("YES", (True, None)),
        ("y: Ada signs.", (True, "Ada signs.")),
        ("n, too dear", (False, "too dear")),
        ("no way", (False, "way")),
        *((words, None) for words in ("nope", "cancel", "too dear", "yesterday", "", "not y")),
    ],
)
def test_what_a_person_types_is_a_decision_or_asked_again(
    words: str, decision: tuple[bool, str | None] | None
) -> None:
    assert decision_of(words) == decision


def test_a_framework_that_is_none_is_told_with_those_there_are() -> None:
    done = runner.invoke(cli.app, ["worker", "model"])
    assert done.exit_code == 1
    assert done.stderr.strip() == f"There is no framework 'model'. There are: {', '.join(FRAMEWORKS)}."


def test_a_drill_of_an_agent_that_is_none_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMF_REGISTRY", str(tmp_path / "registry.json"))
    done = runner.invoke(cli.app, ["drill", "nobody"])
    assert done.exit_code == 1
    assert done.stderr.strip() == "No agent 'nobody' is registered: 'k8gentai agents list' shows those there are."


def test_up_names_the_frameworks_there_are() -> None:
    done = runner.invoke(cli.app, ["up", "--frameworks", "langraph"])
    assert "There is no framework 'langraph'; did you mean 'langgraph'? There are: " in done.stderr
    done = runner.invoke(cli.app, ["up", "--frameworks", "langgraph,cobol"])
    assert done.exit_code == 1
    assert "There is no framework 'cobol'" in done.stderr
    assert ", ".join(FRAMEWORKS) in done.stderr


def test_the_frameworks_of_up() -> None:
    assert planned("all") == FRAMEWORKS
    assert planned("llama-stack") == ("langgraph", "llama-stack")


def test_an_agent_of_a_framework_that_is_not_in_use_is_shown_as_such(tmp_path: Path) -> None:
    agents = tmp_path / "agents"
    agents.mkdir()
    (agents / "one.yaml").write_text(
        "apiVersion: kagent.dev/v1alpha1\nkind: Agent\nmetadata: {name: one}\n"
        "spec: {framework: langgraph, entrypoint: 'nowhere:agent'}\n"
    )
    settings = replace(read_settings(), agents=agents, registry=tmp_path / "registry.json")
    (agent,) = registering.update(settings, print, frameworks=["llama-stack"])
    assert agent.state == "unused"


def test_an_agents_tools_are_shown_with_their_rules_and_its_servers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AMF_REGISTRY", str(tmp_path / "registry.json"))
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    tools = [
        {"name": "stock", "mcp": {"command": "stock"}},
        {"name": "order", "approval": "required"},
        {"name": "count", "function": "shop:count", "retry": "never"},
    ]
    definition = AgentDefinition.model_validate(
        {
            "apiVersion": "kagent.dev/v1alpha1",
            "kind": "Agent",
            "metadata": {"name": "shop"},
            "spec": {"framework": "ag2", "model": {"name": "m"}, "tools": tools},
        }
    )
    agent = RegisteredAgent(
        id="shop", framework="ag2", state="ready", file="a", digest="1", tools=["count"], definition=definition
    )
    write_registry(tmp_path / "registry.json", [agent])
    shown = " ".join(runner.invoke(cli.app, ["agents", "show", "shop"]).stdout.split())
    assert "count (retry: never), order (approval: required), those of the MCP server stock" in shown


def test_what_nobody_asked_for_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no framework is named, those are in use that are quickly installed, or are there."""
    monkeypatch.setattr(environments, "PRODUCT", Clone(tmp_path))
    python = tmp_path / ".venvs" / "beeai" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    monkeypatch.setenv("AMF_ADAPTERS", "mine=my_package.adapter")
    assert frameworks_here() == (*(name for name in FRAMEWORKS if name in (*USUAL, "beeai")), "mine")


def test_a_worker_to_which_no_turn_comes_says_so(tmp_path: Path) -> None:
    registry = tmp_path / "registry.json"
    settings = replace(read_settings(), registry=registry, frameworks=("langgraph", "llama-stack"))
    agent = RegisteredAgent(id="crew", framework="crewai", state="unused", file="a.yaml", digest="1")
    write_registry(registry, [agent])
    (line,) = registering.unserved(settings, "crewai", "crewai", None)
    assert line == (
        "No turn will come to this worker: agents of 'crewai' are registered as unused. "
        "'./scripts/update-registry --frameworks langgraph,llama-stack,crewai' takes them into use."
    )
    assert registering.unserved(settings, "langgraph", "langgraph", None) == []
    # What was taken into use stays so: no later check takes a ready agent off.
    write_registry(registry, [agent.model_copy(update={"state": "ready"})])
    assert registering.unserved(settings, "crewai", "crewai", ["crew"]) == []
    assert registering.unserved(settings, "crewai", "gpu", ["crew", "gone", "crow"]) == [
        "No turn of 'crew' will come to this worker: its pool is 'crewai', not 'gpu'.",
        "No agent 'gone' of 'crewai' is registered.",
        "No agent 'crow' of 'crewai' is registered; did you mean 'crew'?",
    ]
    assert registering.in_use(settings) == ("langgraph", "llama-stack", "crewai")


UP = Notice(os.getpid(), "http://127.0.0.1:8399", "openai/tiny", ["langgraph", "llama-stack"])


def test_what_up_runs_stays_in_use_whatever_is_named(tmp_path: Path) -> None:
    settings = replace(read_settings(), registry=Path(".k8gentai/registry.json"), up=UP)
    assert registering.in_use(settings, ["langgraph", "crewai"]) == ("langgraph", "crewai", "llama-stack")
    (line,) = registering.notes(settings, ["langgraph", "crewai"])
    assert line == "In use as well, as the running 'up' has workers of them: llama-stack."
    assert registering.in_use(replace(settings, up=None), ["crewai"]) == ("crewai",)


def test_a_registry_that_is_not_the_running_stacks_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = replace(read_settings(), registry=Path("mine.json"))
    assert registering.notes(settings, None) == [
        f"The registry is {tmp_path}/mine.json; no 'up' runs in {tmp_path}."
    ]
    theirs = f"{tmp_path}/.k8gentai/registry.json"
    assert registering.notes(replace(settings, up=UP), None) == [
        f"The registry is {tmp_path}/mine.json; that of the running 'up' is {theirs}."
    ]
    assert registering.notes(replace(settings, up=UP, registry=Path(theirs)), None) == []


def test_a_shell_without_the_directory_of_agents_takes_that_of_the_registry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AMF_REGISTRY", raising=False)
    for place, name in (("mine", "one"), ("examples/agents", "two")):
        Path(place).mkdir(parents=True)
        Path(place, f"{name}.yaml").write_text(
            f"apiVersion: kagent.dev/v1alpha1\nkind: Agent\nmetadata: {{name: {name}}}\n"
            "spec: {framework: langgraph, entrypoint: 'nowhere:agent'}\n"
        )
    monkeypatch.setenv("AMF_AGENTS", "mine")
    registering.update(read_settings(), print, frameworks=["llama-stack"])
    monkeypatch.delenv("AMF_AGENTS")
    settings = read_settings()
    assert settings.agents.absolute() == tmp_path / "mine"
    assert registering.notes(settings, None)[0] == registering.remembered(settings)
    seen: list[Changes] = []
    registering.update(settings, print, frameworks=["llama-stack"], approve=seen.append)
    assert seen[0].is_none
    # One who names another is asked no more.
    monkeypatch.setenv("AMF_AGENTS", "examples/agents")
    (agent,) = registering.update(read_settings(), print, frameworks=["llama-stack"])
    monkeypatch.delenv("AMF_AGENTS")
    assert (agent.id, read_settings().agents) == ("two", AGENTS)


def test_agents_of_ones_own_are_not_replaced_where_their_directory_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_registry(REGISTRY, [], agents_dir=Path("mine"))
    settings = read_settings()
    assert (settings.agents.absolute(), settings.remembers_agents) == (tmp_path / "mine", True)
    with pytest.raises(SetUpError, match="mine: no such directory"):
        registering.update(settings, print, frameworks=["llama-stack"])
    with pytest.raises(SetUpError, match=r"There is no directory .*mine"):
        place_examples(settings.agents, print)


def test_a_project_that_is_copied_has_agents_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("examples/agents", "mine"):
        (tmp_path / "project" / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project")
    for agents in ("examples/agents", "mine"):
        write_registry(REGISTRY, [], agents_dir=Path(agents))
        copy = shutil.copytree(tmp_path / "project", tmp_path / agents.replace("/", "-"))
        monkeypatch.chdir(copy)
        assert read_settings().agents.absolute() == copy / agents
        monkeypatch.chdir(tmp_path / "project")


def test_an_id_that_is_too_long_leaves_the_other_columns_their_room() -> None:
    console = Console(width=120, record=True, file=io.StringIO())
    known = {"framework": "langgraph", "file": "a.yaml", "digest": "1"}
    longest = "a" * 63
    agents = [
        RegisteredAgent(id="b" * 3_000, state="broken", error="the name is too long", **known),
        RegisteredAgent(id=longest, state="ready", **known),
    ]
    for agent in agents:
        registering.show([agent], console)
    shown = console.export_text()
    assert shown.count("langgraph") == 2
    assert all(text in shown for text in ("broken", "ready", longest, f"{'b' * 24}…: the name is too long"))
    assert "b" * 25 not in shown


def test_where_no_up_runs_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    monkeypatch.setattr(Settings, "worker_redis_url", lambda _: f"redis://localhost:{unused_tcp_port}/0")
    settings = replace(read_settings(), redis_url=None, state=tmp_path)
    missing = r"No 'up' runs here: Redis at .* does not answer .*Start './scripts/up', or name the stack's Redis"
    with pytest.raises(SetUpError, match=missing):
        list_turns(settings, 1, None, Console())
    with pytest.raises(SetUpError, match=r"^Redis at .* does not answer"):
        list_turns(replace(settings, redis_url="redis://localhost"), 1, None, Console())


def test_a_place_that_is_none_is_told_that_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMF_AGENTS", f"{tmp_path}:{tmp_path}")
    monkeypatch.setenv("AMF_REGISTRY", str(tmp_path / "registry.json"))
    done = runner.invoke(cli.app, ["agents", "update"])
    assert done.exit_code == 1
    assert "AMF_AGENTS names one directory" in done.stderr


def test_fields_that_nothing_reads_are_shown_with_the_agents_and_with_the_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "AMF_REGISTRY": "registry.json",
        "AMF_AGENTS": ".",
        "REDIS_URL": "redis://127.0.0.1:1",
    }.items():
        monkeypatch.setenv(name, value)
    Path("one.yaml").write_text(
        "apiVersion: kagent.dev/v1alpha1\nkind: Agent\nmetadata: {name: one}\n"
        "spec:\n  framework: crewai\n  displayName: Number One\n"
        "  scaling: {maxReplicas: 3}\n  model: {name: m, provider: vllm}\n"
    )
    updated = runner.invoke(cli.app, ["agents", "update", "--frameworks", "llama-stack"])
    fields = ["one.yaml:7: spec.scaling", "one.yaml:8: spec.model.provider"]
    assert updated.exit_code == 0
    assert [line for line in updated.stdout.splitlines() if "not used" in line] == [
        f"one: not used: {field}" for field in fields
    ]
    shown = " ".join(runner.invoke(cli.app, ["agents", "show", "one"], terminal_width=400).stdout.split())
    assert f"not used {' '.join(fields)}" in shown
    assert "name Number One" in shown


def test_what_an_agent_lacks_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "AMF_REGISTRY": "registry.json",
        "AMF_AGENTS": ".",
        "REDIS_URL": "redis://127.0.0.1:1",
    }.items():
        monkeypatch.setenv(name, value)
    definition = AgentDefinition.model_validate(
        {
            "apiVersion": "kagent.dev/v1alpha1",
            "kind": "Agent",
            "metadata": {"name": "one"},
            "spec": {"framework": "llama-stack", "model": {"name": "m"}},
        }
    )
    ready = RegisteredAgent(
        id="one", framework="llama-stack", state="ready", file="one.yaml", digest="1", definition=definition
    )
    write_registry(Path("registry.json"), [ready])
    Path("one.yaml").write_text(
        "apiVersion: kagent.dev/v1alpha1\nkind: Agent\nmetadata: {name: one}\n"
        "spec: {framework: llama-stack, model: {name: '${env.A_MODEL_OF_NOBODY}'}}\n"
    )
    updated = runner.invoke(cli.app, ["agents", "update"])
    (line,) = [line for line in updated.output.splitlines() if "A_MODEL_OF_NOBODY" in line]
    assert (updated.exit_code, line.startswith("one stays as it was: ")) == (1, True), updated.output
    assert "was not checked again" in " ".join(runner.invoke(cli.app, ["agents", "list"]).stdout.split())


def test_a_url_names_no_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMF_REGISTRY", "redis://:hunter2@localhost:6379/0")
    done = runner.invoke(cli.app, ["agents", "list"])
    message = "AMF_REGISTRY: it is a file's path, or 'redis' for the Redis that REDIS_URL names, and no URL"
    assert (done.exit_code, done.stderr.strip()) == (1, message)


def test_a_registry_that_cannot_be_read_is_no_empty_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "registry.json").write_text("{")
    monkeypatch.setenv("AMF_REGISTRY", str(tmp_path / "registry.json"))
    for command in (["list"], ["show", "one"]):
        done = runner.invoke(cli.app, ["agents", *command])
        assert (done.exit_code, done.stdout) == (1, "")
        (line,) = done.stderr.splitlines()
        assert "registry.json cannot be read: it is no registry (Invalid JSON: EOF" in line


@pytest.mark.parametrize("agents", [".", ""])
def test_a_redis_that_is_silent_is_waited_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, agents: str
) -> None:
    """As one that is stopped, whose machine still takes connections."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("k8gentai.workers.queue.connection.REPLY_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}"
        for name, value in {"AMF_REGISTRY": "redis", "AMF_AGENTS": agents, "REDIS_URL": url}.items():
            monkeypatch.setenv(name, value)
        done = runner.invoke(cli.app, ["agents", "update"])
        asked = 0
        silent.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                silent.accept()[0].close()
                asked += 1
    (line,) = done.output.splitlines()
    assert (done.exit_code, asked) == (1, 1)
    assert line.startswith("The registry cannot be read: ")
    assert "Timeout" in line


def test_a_registry_in_redis_is_named_beside_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = replace(read_settings(), registry="redis", up=UP)
    theirs = f"{tmp_path}/.k8gentai/registry.json"
    assert registering.notes(settings, None) == [
        f"The registry is in Redis; that of the running 'up' is {theirs}."
    ]
    monkeypatch.setattr(pidfile, "started_with", lambda *_: "redis")
    assert registering.notes(settings, None) == []
