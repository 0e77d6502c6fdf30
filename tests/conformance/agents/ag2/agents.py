"""The agents in AG2: made when the module is imported, as its documentation makes them."""

from ag2 import Agent
from ag2.config import OpenAIConfig

from k8gentai.agents import AgentContext
from k8gentai.stack.conformance.tools import add, fail, linger, multiply, write
from tests.conformance.agents.poison import TOOLS

_config = OpenAIConfig("somebody-elses-model")

plain = Agent("assistant", config=_config)
calculator = Agent("calculator", config=_config, tools=[add, multiply, fail])
scribe = Agent("scribe", config=_config, tools=[write, linger])
poison = Agent("poison", config=_config, tools=TOOLS)


def raising(context: AgentContext) -> None:
    """A factory that raises."""
    raise RuntimeError("broken on purpose")
