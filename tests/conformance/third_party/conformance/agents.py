"""The agents that the checks talk to."""

from k8gentai.agents import AgentContext
from k8gentai.stack.conformance.tools import add, fail, linger, multiply, write
from tests.conformance.third_party.loop import Agent

plain = Agent("somebody-elses-model")
calculator = Agent("somebody-elses-model", functions=(add, multiply, fail))
scribe = Agent("somebody-elses-model", functions=(write, linger))


def raising(context: AgentContext) -> Agent:
    """A factory that raises."""
    raise RuntimeError("broken on purpose")
