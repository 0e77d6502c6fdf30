"""An agent whose own code raises."""

from langgraph.graph import END, START, MessagesState, StateGraph


def fail(state: MessagesState) -> MessagesState:
    raise RuntimeError("broken on purpose")


_graph = StateGraph(MessagesState)
_graph.add_node("fail", fail)
_graph.add_edge(START, "fail")
_graph.add_edge("fail", END)
agent = _graph.compile()
