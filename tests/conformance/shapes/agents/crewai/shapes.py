"""CrewAI's shapes."""

from k8gentai.stack.conformance.scripted import Answer, Call
from tests.conformance.shapes.shape import Answers, Shape, Structured

_CREWS = "tests.conformance.shapes.agents.crewai.crews"
_FLOWS = "tests.conformance.shapes.agents.crewai.flows"


def _two(key: str, calls: Answers, final: Answers) -> dict[str, Answers]:
    """The first agent calls tools, the second has the last word."""
    return {"": (*calls, Answer("Notes."), *final)}


def _delegating(key: str, calls: Answers, final: Answers) -> dict[str, Answers]:
    """A manager hands the work on, where there is any."""
    if not calls:
        return {"": final}
    order = {"task": f"[[{key}-inner]] Do it.", "context": "None", "coworker": "Mathematician"}
    return {
        "": (Answer(Call("delegate_work_to_coworker", order)), *final),
        "-inner": (*calls, Answer("Notes.")),
    }


def _checked(key: str, calls: Answers, final: Answers) -> dict[str, Answers]:
    """The guardrail turns the first answer down."""
    return {"": (*calls, Answer("I would say, if you ask me, that it costs 3."), *final)}


SHAPES = (
    Shape("agent", "an `Agent`, by `kickoff`", f"{_CREWS}:clerk", structured=Structured(f"{_CREWS}:ordering")),
    Shape(
        "sequential-crew",
        "a sequential `Crew`, a task the context of another",
        f"{_CREWS}:sequential",
        _two,
        structured=Structured(f"{_CREWS}:sequential_order"),
        remembers=False,
    ),
    Shape(
        "hierarchical-crew",
        "a hierarchical `Crew` with a manager",
        f"{_CREWS}:hierarchical",
        _delegating,
        structured=Structured(f"{_CREWS}:hierarchical_order"),
        remembers=False,
    ),
    Shape(
        "project-crew",
        "a crew from YAML (`@CrewBase`)",
        f"{_CREWS}:Project",
        structured=Structured(f"{_CREWS}:ProjectOrder"),
        remembers=False,
    ),
    Shape(
        "task-tools",
        "a task with tools of its own, `BaseTool` classes",
        f"{_CREWS}:tasks_tools",
        structured=Structured(f"{_CREWS}:tasks_tools_order"),
        remembers=False,
    ),
    Shape(
        "guardrail",
        "a task with a `guardrail`, which turns an answer down",
        f"{_CREWS}:checked",
        _checked,
        structured=Structured(f"{_CREWS}:checked_order"),
        remembers=False,
    ),
    Shape(
        "callbacks",
        "a crew with `step_callback` and a task's `callback`",
        f"{_CREWS}:watched",
        structured=Structured(f"{_CREWS}:watched_order"),
        remembers=False,
    ),
    Shape(
        "together",
        "a task with `async_execution`",
        f"{_CREWS}:together",
        _two,
        structured=Structured(f"{_CREWS}:together_order"),
        remembers=False,
    ),
    Shape(
        "router",
        "a `Flow` with `@start`, `@router`, `@listen`",
        f"{_FLOWS}:Routed",
        structured=Structured(f"{_FLOWS}:Ordered"),
        remembers=False,
    ),
    Shape(
        "crews",
        "a `Flow` that kicks off a crew",
        f"{_FLOWS}:Crews",
        _two,
        structured=Structured(f"{_FLOWS}:Parsed"),
        remembers=False,
    ),
)
