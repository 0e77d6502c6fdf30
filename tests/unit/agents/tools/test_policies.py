"""What a definition says of tools, held against the tools there are."""

import pytest
from pydantic import ValidationError

from k8gentai.agents.contract.turn import Adapter, AgentLoadError, FoundTools, LoadedAgent
from k8gentai.agents.resources.agent import AgentDefinition
from k8gentai.agents.tools.policies import check_policies, found_tools


class Loaded:
    """A loaded agent."""

    def __init__(self, definition: AgentDefinition) -> None:
        self.definition = definition


class Knowing:
    """An adapter that finds some tools."""

    def __init__(self, found: FoundTools) -> None:
        self._found = found

    def tools(self, agent: Loaded) -> FoundTools:
        return self._found


def defined(*tools: dict[str, object]) -> AgentDefinition:
    return AgentDefinition.model_validate(
        {
            "apiVersion": "kagent.dev/v1alpha1",
            "kind": "Agent",
            "metadata": {"name": "a"},
            "spec": {"framework": "loop", "tools": tools},
        }
    )


def check(definition: AgentDefinition, adapter: object, served: list[str] | None = None) -> str | None:
    found = found_tools(adapter, Loaded(definition))
    try:
        check_policies(definition, found, served)
    except AgentLoadError as error:
        return str(error)
    return None


WHOLE = Knowing(FoundTools(frozenset({"pay", "add"}), complete=True))
PART = Knowing(FoundTools(frozenset({"pay"})))


def test_a_tool_that_is_not_there_is_refused_with_what_may_be_meant() -> None:
    definition = defined({"name": "add"}, {"name": "pya", "retry": "never"})
    assert check(definition, WHOLE) == (
        "spec.tools.1.name: there is no tool 'pya'; did you mean 'pay'? The tools there are: add, pay"
    )
    assert check(defined({"name": "pay"}), WHOLE) is None


def test_a_tool_that_is_made_in_a_turn_is_named_as_such() -> None:
    said = check(defined({"name": "refund"}), PART)
    assert said is not None
    assert said.endswith("If it is made while a turn runs, write 'dynamic: true' beside its name")
    assert check(defined({"name": "refund", "dynamic": True}), PART) is None


def test_an_adapter_that_finds_no_tools_knows_none() -> None:
    assert "The tools there are: none" in str(check(defined({"name": "pay"}), object()))


def test_a_tool_that_a_server_may_have_is_looked_for_when_it_was_asked() -> None:
    server = {"name": "files", "mcp": {"command": "true"}}
    definition = defined(server, {"name": "wriet"})
    assert check(definition, WHOLE) is None
    assert "did you mean 'write'?" in str(check(definition, WHOLE, ["read", "write"]))
    assert check(defined(server, {"name": "write"}), WHOLE, ["read", "write"]) is None


def test_a_tool_of_a_server_whose_tools_are_listed_is_looked_for_at_once() -> None:
    server = {"name": "files", "mcp": {"command": "true", "tools": ["write"]}}
    assert "did you mean 'write'?" in str(check(defined(server, {"name": "wriet"}), WHOLE))
    assert check(defined(server, {"name": "write"}), WHOLE) is None


def test_only_a_tool_of_the_agents_own_is_dynamic() -> None:
    with pytest.raises(ValidationError, match="this one has function"):
        defined({"name": "a", "function": "shlex:split", "dynamic": True})


def test_adapters_without_the_method_are_adapters() -> None:
    adapter: Adapter[LoadedAgent] = object()  # type: ignore[assignment]
    assert found_tools(adapter, Loaded(defined())) == FoundTools()


def test_a_tool_that_passes_the_boundary_by_is_not_looked_for_and_has_no_rules() -> None:
    assert check(defined({"name": "refund", "boundary": "none"}), WHOLE) is None
    for rule in ({"approval": "required"}, {"retry": "never"}, {"timeoutSeconds": 3}, {"function": "shlex:split"}):
        with pytest.raises(ValidationError, match="nothing else can be said"):
            defined({"name": "refund", "boundary": "none", **rule})


def test_calls_that_nobody_counts_cannot_be_limited() -> None:
    given = defined({"name": "refund", "boundary": "none"}).model_dump(mode="json", by_alias=True)
    assert AgentDefinition.model_validate(given) == defined({"name": "refund", "boundary": "none"})
    given["spec"]["limits"] = {"toolCalls": 3}
    with pytest.raises(ValidationError, match=r"limits\.toolCalls does not hold for 'refund'"):
        AgentDefinition.model_validate(given)
