"""Agents whose answer no model's message is: one writes it as a dictionary, one answers in a structure."""

from typing import Any

from langchain.agents import create_agent
from langchain.agents.structured_output import ToolStrategy
from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph
from pydantic import BaseModel


class Plan(BaseModel):
    """A plan."""

    city: str
    days: int


def note(n: int) -> str:
    """Note a number."""
    return f"noted {n}"


def answer(state: MessagesState) -> Any:
    """Answer without a model."""
    return {"messages": [{"role": "assistant", "content": "This is the answer."}]}


canned = StateGraph(MessagesState).add_node(answer).add_edge(START, "answer").compile()
planner = create_agent(ChatOpenAI(model="m1"), [note], response_format=ToolStrategy(Plan))
