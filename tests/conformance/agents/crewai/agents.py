"""The agents in CrewAI: made when the module is imported, as its documentation makes them."""

from crewai import LLM, Agent
from crewai.tools import tool

from k8gentai.agents import AgentContext
from k8gentai.stack.conformance import tools
from tests.conformance.agents.poison import TOOLS

_model = LLM(model="somebody-elses-model", stream=True)


def _agent(role: str, *functions: object) -> Agent:
    return Agent(
        role=role,
        goal="Do what the user asks",
        backstory="You are precise.",
        llm=_model,
        tools=[tool(function.__name__)(function) for function in functions],
    )


plain = _agent("Assistant")
calculator = _agent("Calculator", tools.add, tools.multiply, tools.fail)
scribe = _agent("Scribe", tools.write, tools.linger)
poison = _agent("Poison", *TOOLS)


def raising(context: AgentContext) -> None:
    """A factory that raises."""
    raise RuntimeError("broken on purpose")


dated = Agent(
    role="Clerk",
    goal="Do what the user asks",
    backstory="You know what day it is.",
    llm=_model,
    tools=[tool("write")(tools.write)],
    inject_date=True,
    date_format="%Y-%m-%d %H:%M:%S.%f",
)
