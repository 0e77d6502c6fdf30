"""Does arithmetic with tools. Plain LangChain: nothing here knows who runs it, or where."""

import os

from langchain.agents import create_agent
from langchain_openai import ChatOpenAI


def add(a: float, b: float) -> float:
    """Add two numbers: a + b."""
    return a + b


def multiply(a: float, b: float) -> float:
    """Multiply two numbers: a * b."""
    return a * b


def divide(a: float, b: float) -> float:
    """Divide one number by another: a / b."""
    return a / b


agent = create_agent(
    ChatOpenAI(model=os.environ.get("INFERENCE_MODEL", "gpt-4.1-mini"), temperature=0),
    tools=[add, multiply, divide],
    system_prompt="You do arithmetic. Use the tools to calculate, one step at a time, then say the result.",
)
