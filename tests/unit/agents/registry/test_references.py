"""Agents that have agents as tools: one that is not there, and those that would ask themselves."""

from k8gentai.agents.registry.definitions import read_definitions
from k8gentai.agents.registry.references import reference_faults


def define(folder, name, *agents):
    tools = "".join(f"\n    - name: ask-{other}\n      agent: {other}" for other in agents)
    (folder / f"{name}.yaml").write_text(
        f"apiVersion: kagent.dev/v1alpha1\nkind: Agent\nmetadata: {{name: {name}}}\nspec:\n"
        f"  framework: langgraph\n  tools: {tools or '[]'}\n"
    )


def faults(folder):
    found = reference_faults(read_definitions(folder))
    return {name: [str(fault).partition(".yaml")[2] for fault in of_agent] for name, of_agent in found.items()}


def test_agents_may_share_one_and_be_asked_in_turn(tmp_path):
    define(tmp_path, "a", "b", "c")
    define(tmp_path, "b", "c")
    define(tmp_path, "c")
    assert faults(tmp_path) == {}


def test_an_agent_that_is_not_there_is_named_with_its_line(tmp_path):
    define(tmp_path, "a", "b", "gone")
    define(tmp_path, "b")
    assert faults(tmp_path) == {"a": [":10: spec.tools.1.agent: there is no agent 'gone'"]}


def test_each_agent_of_a_cycle_is_named_and_no_other(tmp_path):
    define(tmp_path, "a", "b")
    define(tmp_path, "b", "c")
    define(tmp_path, "c", "b")
    define(tmp_path, "d", "d")
    assert faults(tmp_path) == {
        "b": [":8: spec.tools.0.agent: the agent would ask itself: b -> c -> b"],
        "c": [":8: spec.tools.0.agent: the agent would ask itself: c -> b -> c"],
        "d": [":8: spec.tools.0.agent: the agent would ask itself: d -> d"],
    }
