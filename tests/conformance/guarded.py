"""The shapes of agents whose tool ``write`` wants approval, by framework, and what a model says in each."""

import json

from tests.conformance.helpers import prompt, write
from tests.scripted import Answer, Call


def _by_the_model(key, page):
    return prompt(key), [Answer(write(page, "one")), Answer("Done.")]


def _by_code(key, page):
    return json.dumps({"path": str(page), "line": "one"}), []


def _by_another(tool, **named):
    def script(key, page):
        call = Call(tool, {name: prompt(key, value) for name, value in named.items()})
        return prompt(key), [Answer(call), Answer(write(page, "one")), Answer("Written."), Answer("Done.")]

    return script


def _delegated(key, page):
    order = {"task": prompt(key, "Write."), "context": "None", "coworker": "Writer"}
    call = Call("delegate_work_to_coworker", order)
    return prompt(key), [Answer(call), Answer(write(page, "one")), Answer("Written."), Answer("Done.")]


def _by_a_function(key, page):
    return prompt(key), [Answer(write(page, "one"))]


def _in_text(name, given, end, tool="write"):
    def script(key, page):
        arguments = json.dumps({"path": str(page), "line": "one"})
        called = f"Thought: I write.\n{name}: {tool}\n{given}: {arguments}\n"
        return prompt(key), [Answer(called), Answer(f"Thought: It is done.\n{end}: Done.")]

    return script


def _subtask(key, page):
    call = Call("run_subtask", {"task": prompt(key, "Write.")})
    return prompt(key), [Answer(call), Answer(write(page, "one")), Answer("Written."), Answer("Done.")]


GUARDED = {
    "langgraph": {
        "renaming": _by_the_model,
    },
    "crewai": {
        "task_tools": _by_the_model,
        "delegation": _delegated,
        "consulting": _delegated,
        "in_tool": _by_another("ask_writer", question="Write."),
        "AgentInMethod": _by_the_model,
        "CrewInMethod": _by_the_model,
        "LiteInMethod": _in_text("Action", "Action Input", "Final Answer"),
        "ByHand": _by_code,
        "ByHandAsync": _by_code,
        "ImplementationByHand": _by_code,
        "limited": _by_the_model,
        "FunctionsOfModel": _by_a_function,
        "ForTheModel": _by_the_model,
        "written": _in_text("Action", "Action Input", "Final Answer"),
        "written, misspelt": _in_text("Action", "Action Input", "Final Answer", "writee"),
    },
    "ag2": {
        "as_tool": _by_another("task_writer", objective="Write."),
        "toolkit": _by_the_model,
        "subtasks": _subtask,
        "several": _by_the_model,
        "made_in_turn": _by_the_model,
        "asked_with": _by_the_model,
        "by_hand": _by_code,
        "solved": _by_code,
        "for_the_model": _by_the_model,
    },
    "beeai": {
        "handoff": _by_another("writer", task="Write."),
        "workflow": _by_the_model,
        "made_in_turn": _by_the_model,
        "react": _in_text("Function Name", "Function Input", "Final Answer"),
        "by_hand": _by_code,
        "step": _by_code,
        "for_the_model": _by_the_model,
    },
}

DISPATCHING = {
    "crewai": "tests.conformance.agents.crewai.guarded:Dispatching",
    "ag2": "tests.conformance.agents.dispatching:answer",
    "beeai": "tests.conformance.agents.dispatching:answer",
}
"""What runs the function ``write`` by itself where a model calls it, so that nothing can ask, by framework."""


APPROVING = ("crewai", "ag2", "beeai")
"""The frameworks with an approval of their own, behind which code changes the call. The definition wants none."""

HOOKED = ("langgraph", "crewai", "ag2", "beeai")
"""The frameworks in which code can change a call's arguments behind the boundary."""

HURRYING = ("langgraph", "ag2")
"""The frameworks in which code around a tool can run that twice, or go on while it is at work."""

ADDED = {
    "langgraph": ("consulting", "one_by_one", "pausing"),
    "crewai": ("twice", "returning", "answering", "reading", "shopping", "one_by_one"),
    "ag2": ("around", "answering", "reading"),
    "beeai": ("reading",),
}
"""Further agents, by framework: one may use its tool twice, two answer with their tool's result, one has
middleware before the boundary, the tool of another reads its arguments in its own way, and of others the tool has
another agent or its own code write, for two beside a call of the model's that runs after it. A graph begins its
node anew after the tool ran."""


def agent_id(shape):
    """The id of the agent of a shape."""
    return f"guarded-{shape.partition(',')[0].replace('_', '-').lower()}"


def definitions(framework):
    """The definitions of a framework's guarded agents, by id."""
    module = f"tests.conformance.agents.{framework.replace('-', '_')}.guarded"
    spec = {
        "framework": framework,
        "model": {"name": "${env.INFERENCE_MODEL}"},
        "tools": [{"name": "write", "approval": "required"}],
    }
    entrypoints = {agent_id(shape): f"{module}:{shape.partition(',')[0]}" for shape in GUARDED.get(framework, ())}
    if framework in HOOKED:
        entrypoints[agent_id("hooked")] = f"{module}:hooked"
    for shape in ADDED.get(framework, ()):
        entrypoints[agent_id(shape)] = f"{module}:{shape}"
    if framework in DISPATCHING:
        entrypoints[agent_id("dispatching")] = DISPATCHING[framework]
    specs = {name: {**spec, "entrypoint": entrypoint} for name, entrypoint in entrypoints.items()}
    if framework in HOOKED:
        never = [{"name": "write", "retry": "never"}]
        specs[agent_id("reviewing")] = {**spec, "tools": never, "entrypoint": f"{module}:reviewing"}
    if framework in HURRYING:
        never = [{"name": "write", "retry": "never"}]
        specs[agent_id("hurrying")] = {**spec, "tools": never, "entrypoint": f"{module}:hurrying"}
    if framework in APPROVING:
        specs[agent_id("approving")] = {**spec, "tools": [], "entrypoint": f"{module}:approving"}
    if framework == "crewai":
        rule = {"name": "addLine", "approval": "required"}
        specs[agent_id("named")] = {**spec, "tools": [rule], "entrypoint": f"{module}:named"}
    return {
        name: {
            "apiVersion": "kagent.dev/v1alpha1",
            "kind": "Agent",
            "metadata": {"name": name},
            "spec": own,
        }
        for name, own in specs.items()
    }
