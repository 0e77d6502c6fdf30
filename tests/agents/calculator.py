"""Existing LangGraph code, unchanged: a graph and its model client made when the module is imported."""

from langchain.agents import create_agent
from langchain_openai import ChatOpenAI


def add(a: float, b: float) -> float:
    """Add two numbers."""
    return a + b


def multiply(a: float, b: float) -> float:
    """Multiply two numbers."""
    return a * b


def divide(a: float, b: float) -> float:
    """Divide the first number by the second."""
    return a / b


agent = create_agent(ChatOpenAI(model="somebody-elses-model"), tools=[add, multiply, divide])

unstreamed = create_agent(ChatOpenAI(model="somebody-elses-model", disable_streaming=True), tools=[add])
