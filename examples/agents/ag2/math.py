"""Does arithmetic with tools. Plain AG2: nothing here knows who runs it, or where."""

import os

from ag2 import Agent
from ag2.config import OpenAIConfig

agent = Agent(
    "math",
    prompt="You do arithmetic. Use the tools to calculate, one step at a time, then say the result.",
    config=OpenAIConfig(os.environ.get("INFERENCE_MODEL", "gpt-4.1-mini"), temperature=0),
)


@agent.tool
def add(a: float, b: float) -> float:
    """Add two numbers: a + b."""
    return a + b


@agent.tool
def multiply(a: float, b: float) -> float:
    """Multiply two numbers: a * b."""
    return a * b


@agent.tool
def divide(a: float, b: float) -> float:
    """Divide one number by another: a / b."""
    return a / b
