"""The agents in BeeAI: made when the module is imported, as its documentation makes them."""

from typing import Any

from beeai_framework.adapters.openai import OpenAIChatModel
from beeai_framework.agents.requirement import RequirementAgent
from beeai_framework.tools import tool

from k8gentai.agents import AgentContext
from k8gentai.stack.conformance import tools
from tests.conformance.agents.poison import TOOLS

_model = OpenAIChatModel("somebody-elses-model")


def _agent(name: str, *functions: Any, **options: Any) -> RequirementAgent:
    return RequirementAgent(
        llm=_model,
        name=name,
        tools=[tool(function) for function in functions],
        # The scripted model answers in plain words.
        final_answer_as_tool=False,
        **options,
    )


plain = _agent("Assistant")
calculator = _agent("Calculator", tools.add, tools.multiply, tools.fail)
# BeeAI takes equal calls for a loop, and does not make them.
scribe = _agent("Scribe", tools.write, tools.linger, tool_call_checker=False)
poison = _agent("Poison", *TOOLS)


def raising(context: AgentContext) -> None:
    """A factory that raises."""
    raise RuntimeError("broken on purpose")
