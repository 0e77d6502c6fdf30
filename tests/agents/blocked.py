"""Agents that block the event loop while their models and tools are at work, as LangGraph alone lets them."""

from langchain.agents import create_agent
from langchain_core.messages import ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

from tests.agents import scribe

MODEL = ChatOpenAI(model="somebody-elses-model")


TOOLS = {function.__name__: tool(function) for function in (scribe.write, scribe.linger)}
SUB_AGENT = create_agent(MODEL, list(TOOLS.values()))
TOOL_NODE = ToolNode(list(TOOLS.values()))


async def ask_agent(state: MessagesState) -> dict:
    return {"messages": SUB_AGENT.invoke({"messages": state["messages"]})["messages"][len(state["messages"]) :]}


def ask_agent_in_thread(state: MessagesState) -> dict:
    return {"messages": SUB_AGENT.invoke({"messages": state["messages"]})["messages"][len(state["messages"]) :]}


async def ask_model(state: MessagesState) -> dict:
    return {"messages": MODEL.bind_tools(list(TOOLS.values())).invoke(state["messages"])}


async def call_node(state: MessagesState) -> dict:
    return TOOL_NODE.invoke(state)


async def call_by_hand(state: MessagesState) -> dict:
    calls = state["messages"][-1].tool_calls
    results = [TOOLS[call["name"]].invoke(call["args"]) for call in calls]
    made = zip(results, calls, strict=True)
    return {"messages": [ToolMessage(result, tool_call_id=call["id"]) for result, call in made]}


def looping(tools) -> StateGraph:
    """A model, and a node for its tools."""
    return (
        StateGraph(MessagesState)
        .add_node("model", ask_model)
        .add_node("tools", tools)
        .add_edge(START, "model")
        .add_conditional_edges("model", tools_condition, ["tools", END])
        .add_edge("tools", "model")
    )


agent = StateGraph(MessagesState).add_node("ask", ask_agent).add_edge(START, "ask")
agent_in_thread = StateGraph(MessagesState).add_node("ask", ask_agent_in_thread).add_edge(START, "ask")
node = looping(call_node)
by_hand = looping(call_by_hand)
