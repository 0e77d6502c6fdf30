"""What a definition says of its tools is checked when the agent is loaded."""

import sys

import pytest

from k8gentai.agents.contract.turn import AgentLoadError
from k8gentai.agents.resources.agent import AgentDefinition
from k8gentai.agents.tools.declared import load_functions


def definition(*tools, **spec) -> AgentDefinition:
    return AgentDefinition.model_validate(
        {
            "apiVersion": "kagent.dev/v1alpha1",
            "kind": "Agent",
            "metadata": {"name": "tried"},
            "spec": {"framework": "langgraph", "model": {"name": "m"}, "tools": list(tools), **spec},
        }
    )


FUNCTION = {"name": "split", "function": "shlex:split"}
SERVER = {"name": "files", "mcp": {"command": sys.executable, "args": ["-m", "files"]}}
POLICY = {"name": "read", "approval": "required"}


def test_functions_are_imported_and_the_rest_is_left_to_others():
    tools = load_functions(definition(FUNCTION, SERVER, POLICY, {"name": "ask", "agent": "other"}))
    assert [tool.name for tool in tools] == ["split"]
    assert load_functions(definition(POLICY, entrypoint="a:b")) == []


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (definition(FUNCTION, entrypoint="a:b"), "spec.tools.0.function: an agent with an entrypoint has its"),
        (definition(FUNCTION, {"name": "split", "agent": "a"}), "spec.tools.1.name: 'split' is given twice"),
        (definition(SERVER, SERVER), "spec.tools.1.name: 'files' is given twice"),
        (definition({"name": "a", "function": "gone.away:f"}), "spec.tools.0.function: there is no module 'gone'"),
        (
            definition({"name": "a", "mcp": {"command": "no-such-program"}}),
            "spec.tools.0.mcp.command: there is no",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_field(given, says):
    with pytest.raises(AgentLoadError) as raised:
        load_functions(given)
    assert str(raised.value).startswith(says)
