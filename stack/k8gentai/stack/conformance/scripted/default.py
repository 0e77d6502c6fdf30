"""The model's answers where no script says: arithmetic with tools, lines for a book, else an echo."""

import itertools
import re
from collections.abc import Mapping
from typing import Any

from k8gentai.stack.conformance.scripted.steps import Answer, Call, Pause, text_of

_QUESTION = re.compile(r"(-?\d+(?:\.\d+)?) (plus|times|divided by) (-?\d+(?:\.\d+)?)", re.IGNORECASE)
_BOOK = re.compile(r"Enter (\d+) lines in (\S+)\.$")
_PACE_SECONDS = 0.1
"""Between the pieces of an answer about a book, so that a worker can die in the middle of one."""
_numbers = itertools.count(1)
_TOOLS = {"plus": "add", "times": "multiply", "divided by": "divide"}


def default_answer(body: Mapping[str, Any]) -> Answer:
    """Call the tool a question like "What is 17 times 23?" asks for, give its result, or echo the user."""
    messages = body["messages"]
    if book := next((found for message in messages if (found := _BOOK.search(text_of(message)))), None):
        return _next_line(sum(message["role"] == "tool" for message in messages), int(book[1]), book[2])
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


def _next_line(entered: int, wanted: int, book: str) -> Answer:
    """Have the next line entered. No two answers are alike, as with a real model."""
    pause = Pause(_PACE_SECONDS)
    said = f"this is answer {next(_numbers)}. "
    if entered == wanted:
        return Answer("All lines ", pause, "are in; ", said)
    call = Call("enter", {"book": book, "line": entered + 1})
    return Answer("The next line: ", pause, said, pause, f"Line {entered + 1}.", call)


def _number(text: str) -> float | int:
    return float(text) if "." in text else int(text)
