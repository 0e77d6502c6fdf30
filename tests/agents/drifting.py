"""Agents that ask their models something else whenever they run, or another model where one fails."""

import itertools

from langchain.agents import create_agent
from langchain.agents.middleware import ModelFallbackMiddleware, ModelRequest, dynamic_prompt
from langchain_openai import ChatOpenAI

from tests.agents.scribe import write

_runs = itertools.count()


@dynamic_prompt
def _number(request: ModelRequest) -> str:
    return f"This is call {next(_runs)}."


agent = create_agent(ChatOpenAI(model="somebody-elses-model"), [write], middleware=[_number])
falling_back = create_agent(
    ChatOpenAI(model="somebody-elses-model"),
    [write],
    middleware=[ModelFallbackMiddleware(ChatOpenAI(model="another", temperature=0.5))],
)
