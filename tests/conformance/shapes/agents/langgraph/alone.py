"""Runs a graph by LangGraph alone; a person approves whatever it asks."""

import uuid
from typing import Any, cast

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import StateGraph
from langgraph.pregel import Pregel
from langgraph.types import Command


async def run(agent: object, prompt: str) -> str:
    """The last message of a graph's final state, its structured response, or what a function returns."""
    graph = agent.compile() if isinstance(agent, StateGraph) else cast("Pregel[Any, Any, Any, Any]", agent)
    graph = graph.copy({"checkpointer": InMemorySaver()})
    config: Any = {"configurable": {"thread_id": uuid.uuid4().hex}}
    message = {"role": "user", "content": prompt}
    state = await graph.ainvoke({"messages": [message]} if "messages" in graph.channels else [message], config)
    while isinstance(state, dict) and state.get("__interrupt__"):
        state = await graph.ainvoke(Command(resume=True), config)
    return _words(state)


def _words(state: Any) -> str:
    if isinstance(state, dict):
        state = state.get("structured_response") or state["messages"]
    if isinstance(state, list):
        state = state[-1]
    return state.model_dump_json() if type(state).__name__ == "Order" else _text(state)


def _text(message: Any) -> str:
    return message if isinstance(message, str) else str(message.text)
