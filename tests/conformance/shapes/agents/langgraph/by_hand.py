"""The quickstart's agent: a model node, a node that calls the tools itself, and an edge that chooses."""

from typing import Literal

from langchain.tools import tool
from langchain_core.messages import SystemMessage, ToolMessage
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, MessagesState, StateGraph

from tests.conformance.shapes.agents.functions import fail, look, pay

tools_by_name = {made.name: made for made in (tool(look), tool(pay), tool(fail))}
_model = ChatOpenAI(model="scripted-model").bind_tools(list(tools_by_name.values()))


def llm_call(state: MessagesState):
    """Ask the model whether to call a tool."""
    return {"messages": [_model.invoke([SystemMessage("You sell tea."), *state["messages"]])]}


def tool_node(state: MessagesState):
    """Call the tools."""
    results = []
    for tool_call in state["messages"][-1].tool_calls:
        observation = tools_by_name[tool_call["name"]].invoke(tool_call["args"])
        results.append(ToolMessage(content=observation, tool_call_id=tool_call["id"]))
    return {"messages": results}


def should_continue(state: MessagesState) -> Literal["tool_node", "__end__"]:
    """Go on where the model called a tool."""
    return "tool_node" if state["messages"][-1].tool_calls else END


builder = StateGraph(MessagesState)
builder.add_node("llm_call", llm_call)
builder.add_node("tool_node", tool_node)
builder.add_edge(START, "llm_call")
builder.add_conditional_edges("llm_call", should_continue, ["tool_node", END])
builder.add_edge("tool_node", "llm_call")
graph = builder.compile()
