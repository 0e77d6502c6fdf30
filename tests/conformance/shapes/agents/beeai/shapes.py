"""BeeAI's shapes. Its agents answer by a call of ``final_answer``, unless they are told otherwise."""

from k8gentai.stack.conformance.scripted import Answer, Call
from tests.conformance.shapes.shape import ORDER, Answers, Shape, Structured, loop

_AGENTS = "tests.conformance.shapes.agents.beeai.agents"
_WORKFLOWS = "tests.conformance.shapes.agents.beeai.workflows"
_FILLED = (Answer(Call("final_answer", ORDER)),)


def _two(key: str, calls: Answers, final: Answers) -> dict[str, Answers]:
    """The first agent calls tools, the second has the last word."""
    return {"": (*calls, Answer(f"Notes [[{key}]]."), *final)}


def _thinking(key: str, calls: Answers, final: Answers) -> dict[str, Answers]:
    """The agent thinks first."""
    return {"": (Answer(Call("think", {"thoughts": "Tea, then."})), *calls, *final)}


def _handing(key: str, calls: Answers, final: Answers) -> dict[str, Answers]:
    """An agent that hands the work on, where there is any."""
    if not calls:
        return {"": final}
    handed = Call("ask_seller", {"task": f"[[{key}-inner]] Do it."})
    return {"": (Answer(handed), *final), "-inner": (*calls, Answer("Notes."))}


def _written(answer: Answer) -> Answer:
    """A call as an agent writes it that has no calls of the model's."""
    call = next((part for part in answer.parts if isinstance(part, Call)), None)
    if call is None:
        return Answer("Thought: I know it.\nFinal Answer: ", *answer.parts)
    return Answer(f"Thought: I call.\nFunction Name: {call.name}\nFunction Input: {call.text}\n")


def _react(key: str, calls: Answers, final: Answers) -> dict[str, Answers]:
    return {"": tuple(_written(answer) for answer in (*calls, *final))}


def _called(answer: Answer) -> Answer:
    """Words as the call that BeeAI has a model answer by; it would ask again, and give up on its tools."""
    if any(isinstance(part, Call) for part in answer.parts):
        return answer
    return Answer(Call("final_answer", {"response": "".join(map(str, answer.parts))}))


def _agent(name: str, title: str, entrypoint: str, script=loop, **options) -> Shape:
    return Shape(
        name,
        title,
        f"{_AGENTS}:{entrypoint}",
        script,
        structured=Structured(f"{_AGENTS}:{entrypoint}_order", _FILLED),
        alone=_called,
        **options,
    )


SHAPES = (
    _agent("requirement", "a `RequirementAgent`", "seller"),
    _agent("conditional", "a `ConditionalRequirement`", "ruled"),
    _agent("ask-permission", "an `AskPermissionRequirement`", "careful", asks="io_confirm"),
    _agent("think", "a `ThinkTool`, forced at the first step", "thinker", _thinking),
    _agent("handoff", "a `HandoffTool`", "chief", _handing),
    _agent("tool-class", "a `Tool` class", "classy"),
    Shape(
        "tool-calling",
        "a `ToolCallingAgent`, in a function",
        f"{_AGENTS}:calling",
        structured=Structured(f"{_AGENTS}:calling_order", _FILLED),
        remembers=False,
        alone=_called,
    ),
    Shape(
        "react",
        "a `ReActAgent`, in a function",
        f"{_AGENTS}:react",
        _react,
        structured=Structured(f"{_AGENTS}:react_order"),
        remembers=False,
    ),
    Shape(
        "agent-workflow",
        "an `AgentWorkflow` of two agents",
        f"{_WORKFLOWS}:team",
        _two,
        structured=Structured(f"{_WORKFLOWS}:team_order"),
        remembers=False,
        alone=_called,
    ),
    Shape(
        "workflow",
        "a `Workflow` of steps of one's own, in a function",
        f"{_WORKFLOWS}:steps",
        _two,
        structured=Structured(f"{_WORKFLOWS}:steps_order"),
        remembers=False,
        alone=_called,
    ),
)
