"""What a framework brings to the conformance suite, read and completed; and its checks' outcomes, added up."""

import shutil
from pathlib import Path

import pytest
import yaml

from k8gentai.agents.resources.agent import AgentDefinition
from k8gentai.stack.conformance.capabilities import Capability
from k8gentai.stack.conformance.checks import CHECKS
from k8gentai.stack.conformance.kit import AGENTS, read_kit
from k8gentai.stack.conformance.report import Outcome, declared, markdown, rows
from k8gentai.stack.environments.installed import SetUpError
from tests.support.processes import ROOT

THEIRS = ROOT / "tests" / "conformance" / "third_party" / "conformance"


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A third party's directory, which a test may spoil."""
    return Path(shutil.copytree(THEIRS, tmp_path / "conformance"))


def test_agents_that_checks_need_beyond_are_made_of_those_that_are_brought(tmp_path: Path) -> None:
    kit = read_kit(THEIRS)
    assert kit.framework == "loop"
    kit.write(tmp_path)
    written = {path.stem: yaml.safe_load(path.read_text()) for path in tmp_path.glob("*.yaml")}
    for definition in written.values():
        assert AgentDefinition.model_validate(definition).spec.framework == "loop"
    assert set(AGENTS) < written.keys()
    assert written["guarded"]["spec"]["entrypoint"] == written["scribe"]["spec"]["entrypoint"]
    assert written["guarded"]["spec"]["tools"] == [{"name": "write", "approval": "required"}]
    assert "entrypoint" not in written["declared"]["spec"]


def test_a_tool_that_is_declared_keeps_what_is_said_of_it(theirs: Path) -> None:
    scribe = yaml.safe_load((theirs / "scribe.yaml").read_text())
    scribe["spec"]["tools"] = [{"name": "linger", "retry": "never"}, {"name": "write", "retry": "always"}]
    (theirs / "scribe.yaml").write_text(yaml.safe_dump(scribe))
    assert read_kit(theirs).definitions["guarded"]["spec"]["tools"] == [
        {"name": "linger", "retry": "never"},
        {"name": "write", "retry": "always", "approval": "required"},
    ]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda path: shutil.rmtree(path), "there is no such directory"),
        (lambda path: (path / "scribe.yaml").unlink(), "there is no agent 'scribe'"),
        (lambda path: (path / "scribe.yaml").write_text("- 1"), "scribe.yaml: it is no agent's definition"),
        (lambda path: (path / "cannot.toml").write_text('"flying" = "No wings."'), "'flying' is no capability"),
        (lambda path: (path / "cannot.toml").write_text('"cancel" = " "'), "'cancel' has no reason"),
        (lambda path: (path / "cannot.toml").write_text("cancel"), "cannot.toml: Expected"),
    ],
)
def test_what_is_wrong_is_named_with_its_file(theirs, spoil, says):
    spoil(theirs)
    with pytest.raises(SetUpError, match=str(theirs)) as error:
        read_kit(theirs)
    assert says in str(error.value)


def test_agents_may_be_missing_that_the_framework_cannot_have(theirs: Path) -> None:
    (theirs / "raising.yaml").unlink()
    (theirs / "cannot.toml").write_text('"agents that raise" = "It has no code."')
    kit = read_kit(theirs)
    assert kit.why_not((Capability.TEXT, Capability.AGENT_FAILURE)) == "It has no code."
    assert kit.why_not((Capability.TEXT,)) is None


def outcome(capability: Capability, state: str, reason: str = "") -> Outcome:
    return Outcome(framework="loop", capability=capability, check="c", state=state, reason=reason, seconds=1)


def test_a_capability_fails_with_one_of_its_checks_and_is_impossible_with_all() -> None:
    found = rows(
        [
            outcome(Capability.TOOLS, "passed"),
            outcome(Capability.TOOLS, "failed", "no result"),
            outcome(Capability.TOOLS, "passed"),
            outcome(Capability.HISTORY, "impossible", "no tools"),
            outcome(Capability.HISTORY, "passed"),
            outcome(Capability.TEXT, "impossible", "mute"),
        ]
    )
    assert found == {
        "loop": {
            Capability.TEXT: ("impossible", "mute"),
            Capability.TOOLS: ("failed", "no result"),
            Capability.HISTORY: ("passed", ""),
        }
    }


def test_reasons_are_notes_below_the_table_each_once() -> None:
    tools = [
        outcome(Capability.TOOLS, "impossible", "No tools."),
        outcome(Capability.APPROVAL, "impossible", "No tools."),
    ]
    assert markdown([outcome(Capability.TEXT, "passed"), *tools]) == (
        "| capability | loop |\n|---|---|\n"
        "| text answers | yes |\n"
        "| tool calls with arguments and results | no (1) |\n"
        "| approval of tool calls by a person | no (1) |\n"
        "\n1. loop: No tools.\n"
    )


def test_what_is_declared_is_told_without_a_run() -> None:
    found = rows(declared(read_kit(THEIRS), CHECKS))["loop"]
    assert found[Capability.CLIENT_TOOLS] == ("impossible", "A loop's agent has only its own tools.")
    assert found[Capability.REPLAY] == ("passed", "")
