"""What the model answers where no script says: arithmetic with tools, else an echo."""

import re
from collections.abc import Mapping
from typing import Any

from tests.scripted.steps import Answer, Call, text_of

_QUESTION = re.compile(r"(-?\d+(?:\.\d+)?) (plus|times|divided by) (-?\d+(?:\.\d+)?)", re.IGNORECASE)
_TOOLS = {"plus": "add", "times": "multiply", "divided by": "divide"}


def default_answer(body: Mapping[str, Any]) -> Answer:
    """Call the tool a question like "What is 17 times 23?" asks for, give its result, or echo the user."""
    messages = body["messages"]
    if messages[-1]["role"] == "tool":
        results = []
        for message in reversed(messages):
            if message["role"] != "tool":
                break
            results.append(text_of(message))
        return Answer("The answer ", "is ", ", ".join(reversed(results)), ".")
    said = next((text_of(message) for message in reversed(messages) if message["role"] == "user"), "")
    offered = {tool["function"]["name"]: tool["function"] for tool in body.get("tools") or ()}
    calls = []
    for left, operation, right in _QUESTION.findall(said):
        name = _TOOLS[operation.lower()]
        if name in offered:
            names = list(offered[name]["parameters"]["properties"])[:2]
            calls.append(Call(name, dict(zip(names, (_number(left), _number(right)), strict=True))))
    if calls:
        return Answer(*calls)
    return Answer("You ", "said: ", said)


def _number(text: str) -> float | int:
    return float(text) if "." in text else int(text)
