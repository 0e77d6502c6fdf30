"""A loop of somebody's own: it answers the model's calls with functions, past the framework's tools."""

from langchain_core.messages import ToolMessage
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, MessagesState, StateGraph
from pydantic import BaseModel


class Escalate(BaseModel):
    """Ask somebody else. Nothing runs for it."""

    reason: str


def pay(amount: int) -> str:
    """Pay an amount."""
    return f"paid {amount}"


_FUNCTIONS = {"pay": pay}
_PAY = {
    "type": "function",
    "function": {
        "name": "pay",
        "description": "Pay an amount.",
        "parameters": {"type": "object", "properties": {"amount": {"type": "integer"}}},
    },
}
_model = ChatOpenAI(model="somebody-elses-model").bind_tools([_PAY, Escalate])


async def think(state: MessagesState) -> dict:
    """Ask the model."""
    return {"messages": [await _model.ainvoke(state["messages"])]}


def act(state: MessagesState) -> dict:
    """Answer its calls."""
    answers = []
    for call in state["messages"][-1].tool_calls:
        function = _FUNCTIONS.get(call["name"])
        content = function(**call["args"]) if function else "Somebody else takes over."
        answers.append(ToolMessage(content, tool_call_id=call["id"]))
    return {"messages": answers}


agent = (
    StateGraph(MessagesState)
    .add_node(think)
    .add_node(act)
    .add_edge(START, "think")
    .add_conditional_edges("think", lambda state: "act" if state["messages"][-1].tool_calls else END)
    .add_edge("act", "think")
    .compile()
)

ending = (
    StateGraph(MessagesState)
    .add_node(think)
    .add_node(act)
    .add_edge(START, "think")
    .add_conditional_edges("think", lambda state: "act" if state["messages"][-1].tool_calls else END)
    .add_edge("act", END)
    .compile()
)
