"""Agents whose tools note numbers, and show pictures."""

from typing import Any

from langchain.agents import create_agent
from langchain_openai import ChatOpenAI

PIXEL = "data:image/png;base64,iVBORw0KGgo="


def note(n: int) -> str:
    """Note a number."""
    return f"noted {n}"


def look() -> Any:
    """Take a picture."""
    return [{"type": "text", "text": "Seen."}, {"type": "image_url", "image_url": {"url": PIXEL}}]


agent = create_agent(ChatOpenAI(model="m1"), [note, look])
