"""An agent that holds up its worker's event loop until somebody writes to a pipe."""

from pathlib import Path

from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph


def read(pipe: str) -> str:
    """Wait for what is written."""
    return Path(pipe).read_text()


async def wait(state: MessagesState) -> dict:
    return {"messages": [AIMessage(read(state["messages"][-1].content))]}


agent = StateGraph(MessagesState).add_node("wait", wait).add_edge(START, "wait")
