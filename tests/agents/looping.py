"""An agent that never comes to an end, and asks no model on its way."""

from langgraph.graph import START, MessagesState, StateGraph


async def again(state: MessagesState) -> MessagesState:
    return {"messages": []}


_graph = StateGraph(MessagesState)
_graph.add_node("again", again)
_graph.add_edge(START, "again")
_graph.add_edge("again", "again")
agent = _graph.compile()
