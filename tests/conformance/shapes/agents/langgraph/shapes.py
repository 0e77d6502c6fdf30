"""LangGraph's shapes."""

import json

from k8gentai.stack.conformance.scripted import Answer, Call
from tests.conformance.shapes.shape import ORDER, Shape, Structured

_HERE = "tests.conformance.shapes.agents.langgraph"

SHAPES = (
    Shape(
        "create-agent",
        "`create_agent`",
        f"{_HERE}.prebuilt:agent",
        structured=Structured(f"{_HERE}.prebuilt:structured_agent", (Answer(Call("Order", ORDER)),)),
    ),
    Shape(
        "react-agent",
        "`create_react_agent`",
        f"{_HERE}.prebuilt:react",
        structured=Structured(
            f"{_HERE}.prebuilt:structured_react", (Answer("It costs 3."), Answer(json.dumps(ORDER)))
        ),
    ),
)
