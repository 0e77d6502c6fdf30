"""A graph that asks its model twice at the same time, and then once more."""

from langchain_core.messages import SystemMessage
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, MessagesState, StateGraph


def asking(name: str):
    async def node(state: MessagesState) -> MessagesState:
        messages = [SystemMessage(f"You are {name}."), *state["messages"]]
        return {"messages": [await ChatOpenAI(model="somebody-elses-model").ainvoke(messages)]}

    return node


graph = StateGraph(MessagesState)
for side in ("left", "right"):
    graph.add_node(side, asking(side)).add_edge(START, side).add_edge(side, "both")
graph.add_node("both", asking("both")).add_edge("both", END)
agent = graph.compile()
