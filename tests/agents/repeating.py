"""A graph whose code makes calls by itself, all of one id, as LangGraph's own guides do for a single one."""

from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode

_AMOUNTS = (1, 2, 2)


@tool
def pay(amount: int) -> str:
    """Pay an amount."""
    return f"paid {amount}"


def ask(state: MessagesState) -> dict:
    """Make the next call."""
    amount = _AMOUNTS[sum(message.type == "tool" for message in state["messages"])]
    call = {"name": "pay", "args": {"amount": amount}, "id": "abc123", "type": "tool_call"}
    return {"messages": [AIMessage("", tool_calls=[call])]}


def goes_on(state: MessagesState) -> str:
    """Return the next node."""
    return END if sum(message.type == "tool" for message in state["messages"]) == len(_AMOUNTS) else "ask"


def conclude(state: MessagesState) -> dict:
    """Say what was paid."""
    return {"messages": [AIMessage(", ".join(m.text for m in state["messages"] if m.type == "tool"))]}


agent = (
    StateGraph(MessagesState)
    .add_node(ask)
    .add_node("pay", ToolNode([pay]))
    .add_node(conclude)
    .add_edge(START, "ask")
    .add_edge("ask", "pay")
    .add_conditional_edges("pay", goes_on, {"ask": "ask", END: "conclude"})
    .add_edge("conclude", END)
    .compile()
)
