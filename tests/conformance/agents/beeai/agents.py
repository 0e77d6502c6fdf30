"""The agents in BeeAI: made when the module is imported, as its documentation makes them."""

from beeai_framework.adapters.openai import OpenAIChatModel
from beeai_framework.agents.requirement import RequirementAgent
from beeai_framework.tools import tool

from k8gentai.agents.context import AgentContext
from tests.conformance.agents import tools

_model = OpenAIChatModel("somebody-elses-model")

plain = RequirementAgent(llm=_model, name="Assistant")
calculator = RequirementAgent(
    llm=_model, name="Calculator", tools=[tool(tools.add), tool(tools.multiply), tool(tools.fail)]
)
# BeeAI takes equal calls for a loop, and does not make them.
scribe = RequirementAgent(
    llm=_model, name="Scribe", tools=[tool(tools.write), tool(tools.linger)], tool_call_checker=False
)


def raising(context: AgentContext) -> None:
    """A factory that raises."""
    raise RuntimeError("broken on purpose")
