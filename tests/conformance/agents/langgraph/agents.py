"""The agents in LangGraph: made when the module is imported, as its documentation makes them."""

from langchain.agents import create_agent
from langchain_openai import ChatOpenAI

from k8gentai.agents import AgentContext
from k8gentai.stack.conformance.tools import add, fail, linger, multiply, write
from tests.conformance.agents.poison import TOOLS

_model = ChatOpenAI(model="somebody-elses-model")

plain = create_agent(_model, tools=[])
calculator = create_agent(_model, tools=[add, multiply, fail])
scribe = create_agent(_model, tools=[write, linger])
poison = create_agent(_model, tools=TOOLS)


def raising(context: AgentContext) -> None:
    """A factory that raises."""
    raise RuntimeError("broken on purpose")
