"""AG2's shapes."""

from k8gentai.stack.conformance.scripted import Answer, Call
from tests.conformance.shapes.shape import Answers, Shape, Structured

_AGENTS = "tests.conformance.shapes.agents.ag2.agents"
_GROUPS = "tests.conformance.shapes.agents.ag2.groups"


def _two(key: str, calls: Answers, final: Answers) -> dict[str, Answers]:
    """The first agent calls tools, the second has the last word."""
    return {"": (*calls, Answer(f"Notes [[{key}]]."), *final)}


def _asking(tool: str, argument: str, *, many: bool = False):
    """An agent that hands the work on by a tool, where there is any."""

    def script(key: str, calls: Answers, final: Answers) -> dict[str, Answers]:
        if not calls:
            return {"": final}
        order = f"[[{key}-inner]] Do it."
        handed = Call(tool, {argument: [order] if many else order})
        return {"": (Answer(handed), *final), "-inner": (*calls, Answer("Notes."))}

    return script


def _agent(name: str, title: str, entrypoint: str, **options) -> Shape:
    return Shape(
        name, title, f"{_AGENTS}:{entrypoint}", structured=Structured(f"{_AGENTS}:{entrypoint}_order"), **options
    )


def _function(name: str, title: str, entrypoint: str, **options) -> Shape:
    return Shape(
        name,
        title,
        f"{_GROUPS}:{entrypoint}",
        _two,
        structured=Structured(f"{_GROUPS}:{entrypoint}_order"),
        remembers=False,
        **options,
    )


SHAPES = (
    _agent("quick", "the quick start's `Agent`, functions as tools", "quick"),
    _agent("toolkit", "a `Toolkit`", "equipped"),
    _agent("dependent", "a prompt made per turn, `Inject`, `Variable`, `Depends`", "dependent"),
    _agent("plugin", "a `Plugin`", "plugged"),
    _agent("agent-tool", "an agent as a tool (`as_tool`)", "chief", script=_asking("ask_quick", "objective")),
    _agent("subtasks", "sub-tasks (`TaskConfig`)", "foreman", script=_asking("run_subtasks", "tasks", many=True)),
    _agent("approval-required", "a person asked (`approval_required`)", "careful", asks="pay"),
    _function("two-agents", "a function that runs two agents", "relay"),
    _function("pipeline", "a network, one agent after the other", "pipeline"),
    _function("debate", "a group chat, agents in turn", "debate"),
)
