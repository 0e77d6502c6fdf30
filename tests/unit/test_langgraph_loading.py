"""What the LangGraph adapter takes for an agent."""

import pytest
from langgraph.graph import START, StateGraph

from k8gentai.agents.adapters.langgraph import LangGraphAdapter
from k8gentai.agents.turn import AgentLoadError
from tests.support.langgraph import definition, loaded


@pytest.mark.parametrize(
    ("thing", "reason"),
    [
        ("a string", "is a str; it must be a graph"),
        (lambda: None, "is a function; it must be a graph, or a function with one parameter"),
        (StateGraph(dict).add_node("n", len).add_edge(START, "n"), "no 'messages'"),
    ],
)
def test_what_is_no_agent_is_refused(thing, reason):
    with pytest.raises(AgentLoadError, match=reason):
        loaded(thing)


@pytest.mark.parametrize(
    ("spec", "reason"),
    [({}, "spec.model.name"), ({"model": {"name": "m"}, "tools": [{"name": "search"}]}, "spec.tools: 'search'")],
)
def test_a_declaration_that_says_too_little_or_too_much_is_refused(spec, reason):
    with pytest.raises(AgentLoadError, match=reason):
        LangGraphAdapter().load(definition(**spec))
