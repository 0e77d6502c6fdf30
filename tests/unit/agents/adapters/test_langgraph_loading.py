"""What the LangGraph adapter takes for an agent."""

import pytest
from langgraph.graph import START, StateGraph

from k8gentai.agents.adapters.langgraph.adapter import LangGraphAdapter
from k8gentai.agents.contract.turn import AgentLoadError
from tests.support.langgraph import definition, loaded


@pytest.mark.parametrize(
    ("thing", "reason"),
    [
        ("a string", "is a str; it must be a graph"),
        (lambda: None, "is a function; it must be a graph, or a function with one parameter"),
        (StateGraph(dict).add_node("n", len).add_edge(START, "n"), "no 'messages'"),  # type: ignore[arg-type,type-var]
    ],
)
def test_what_is_no_agent_is_refused(thing, reason):
    with pytest.raises(AgentLoadError, match=reason):
        loaded(thing)


def test_a_declaration_without_a_model_is_refused():
    with pytest.raises(AgentLoadError, match=r"spec\.model\.name"):
        LangGraphAdapter().load(definition())
