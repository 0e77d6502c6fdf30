"""LangGraph's shapes, as its documentation and LangChain's have them."""

import json

from k8gentai.stack.conformance.scripted import Answer, Call
from tests.conformance.shapes.shape import ORDER, Answers, Column, Shape, Structured

_HERE = "tests.conformance.shapes.agents.langgraph"
_RAISES = (
    "What a tool raises that is called by hand is the caller's, as without us: the turn fails, and says what."
)


def _routed(key: str, calls: Answers, final: Answers) -> dict[str, Answers]:
    return {"": (Answer('{"step": "shop"}'), *calls, *final)}


def _handed_over(key: str, calls: Answers, final: Answers) -> dict[str, Answers]:
    over = Answer(Call("transfer_to_manager")), Answer(Call("transfer_to_clerk"))
    return {"": (*over, *calls, *final)}


def _asked(key: str, calls: Answers, final: Answers) -> dict[str, Answers]:
    asking = Answer(Call("ask_clerk", {"request": f"[[{key}-clerk]] Do it."}))
    return {"": (asking, *final), "-clerk": (*calls, Answer("The clerk did."))}


def _written(key: str, calls: Answers, final: Answers) -> dict[str, Answers]:
    plan = {"sections": [f"[[{key}-{part}]] Write part {part}." for part in ("one", "two")]}
    parts = {f"-{part}": (Answer(f"Part {part}."),) for part in ("one", "two")}
    return {"": (Answer(json.dumps(plan)), *calls, *final), **parts}


def _graded(key: str, calls: Answers, final: Answers) -> dict[str, Answers]:
    bad, good = Answer('{"good": false, "feedback": "Look it up."}'), Answer('{"good": true, "feedback": ""}')
    return {"": (Answer("A draft."), bad, *calls, *final, good)}


def _summarized(key: str, calls: Answers, final: Answers) -> dict[str, Answers]:
    return {"": (*calls, Answer(f"They want tea [[{key}]]."), *final)}


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
    Shape(
        "by-hand",
        "the quickstart's graph, which calls tools by hand",
        f"{_HERE}.by_hand:graph",
        without={Column.RAISING: _RAISES},
    ),
    Shape(
        "functional",
        "the functional API: `@entrypoint`, `@task`",
        f"{_HERE}.functional:agent",
        without={Column.RAISING: _RAISES},
    ),
    Shape("tool-node", "`ToolNode` and `tools_condition`", f"{_HERE}.graphs:tool_node"),
    Shape("router", "routing by structured output", f"{_HERE}.graphs:router", _routed),
    Shape("handoff", "handoffs: `Command(goto=…, graph=Command.PARENT)`", f"{_HERE}.teams:handoff", _handed_over),
    Shape(
        "subagents",
        "a supervisor whose tools are agents",
        f"{_HERE}.teams:supervisor",
        _asked,
        remembers=False,
    ),
    Shape("calling", "an agent that a node calls", f"{_HERE}.graphs:calling"),
    Shape("workers", "orchestrator and workers: `Send`", f"{_HERE}.graphs:workers", _written),
    Shape("evaluator", "evaluator and optimizer", f"{_HERE}.graphs:evaluator", _graded),
    Shape("reviewed", "`HumanInTheLoopMiddleware`", f"{_HERE}.prebuilt:reviewed", asks="pay"),
    Shape("interrupting", "`interrupt()` in a tool", f"{_HERE}.prebuilt:asking", asks="interrupt"),
    Shape("summarizing", "`SummarizationMiddleware`", f"{_HERE}.prebuilt:summarizing", _summarized),
    Shape("librarian", "retrieval with a state of its own", f"{_HERE}.prebuilt:librarian"),
)
