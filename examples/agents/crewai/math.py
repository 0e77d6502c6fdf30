"""Does arithmetic with tools. Plain CrewAI: nothing here knows who runs it, or where."""

import os

from crewai import LLM, Agent
from crewai.tools import tool


@tool
def add(a: float, b: float) -> float:
    """Add two numbers: a + b."""
    return a + b


@tool
def multiply(a: float, b: float) -> float:
    """Multiply two numbers: a * b."""
    return a * b


@tool
def divide(a: float, b: float) -> float:
    """Divide one number by another: a / b."""
    return a / b


agent = Agent(
    role="Mathematician",
    goal="Calculate what the user asks for and say the result.",
    backstory="You do arithmetic with your tools, one step at a time, and never in your head.",
    # A model's name in the stack may begin with another provider's.
    llm=LLM(model=os.environ.get("INFERENCE_MODEL", "gpt-4.1-mini"), provider="openai", temperature=0),
    tools=[add, multiply, divide],
)
