"""Llama Stack's shapes: what an agent of its has is what its definition says."""

from k8gentai.stack.conformance.scripted import Answer, Call
from tests.conformance.shapes.shape import Answers, Column, Shape

_AGENTS = "tests.conformance.shapes.agents"
_NO_TOOLS = "It has no tools."
_FUNCTIONS = [{"name": name, "function": f"{_AGENTS}.functions:{name}"} for name in ("look", "pay", "fail")]
_PROGRAM = {
    "name": "shop",
    "mcp": {"command": "${env.TEST_PYTHON}", "args": ["-m", f"{_AGENTS}.llama_stack.program"]},
}


def _consulted(key: str, calls: Answers, final: Answers) -> dict[str, Answers]:
    asking = Answer(Call("clerk", {"input": f"[[{key}-clerk]] What now?"}))
    return {"": (asking, *calls, *final), "-clerk": (Answer("Go on."),)}


def _mixed(key: str, calls: Answers, final: Answers) -> dict[str, Answers]:
    """Two calls at once, of a function and a server."""
    both = Answer(Call("repeat", {"word": "so"}), *(part for answer in calls[:1] for part in answer.parts))
    return {"": (*((both,) if calls else ()), *calls[1:], *final)}


SHAPES = (
    Shape(
        "plain-prompt",
        "a model and a prompt",
        spec={"systemPrompt": "You sell tea."},
        tools=False,
        without={Column.APPROVAL: _NO_TOOLS, Column.RAISING: _NO_TOOLS},
    ),
    Shape("functions", "function tools", spec={"systemPrompt": "You sell tea.", "tools": _FUNCTIONS}),
    Shape("server-tools", "the tools of an MCP server", spec={"tools": [_PROGRAM]}),
    Shape(
        "consulting",
        "another agent among its tools",
        script=_consulted,
        spec={"tools": [*_FUNCTIONS, {"name": "clerk", "agent": "plain-prompt"}]},
    ),
    Shape(
        "mixed",
        "functions and an MCP server, several calls at once",
        script=_mixed,
        spec={"tools": [{"name": "repeat", "function": "tests.conformance.agents.functions:repeat"}, _PROGRAM]},
    ),
)
