"""Does arithmetic with tools. Plain BeeAI: nothing here knows who runs it, or where."""

import os

from beeai_framework.adapters.openai import OpenAIChatModel
from beeai_framework.agents.requirement import RequirementAgent
from beeai_framework.tools import tool


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


agent = RequirementAgent(
    llm=OpenAIChatModel(os.environ.get("INFERENCE_MODEL", "gpt-4.1-mini")),
    name="Math",
    instructions="You do arithmetic. Use the tools to calculate, one step at a time, then say the result.",
    tools=[add, multiply, divide],
    # Small models answer better in plain words.
    final_answer_as_tool=False,
)
