"""A factory: it builds its graph for each turn, with the tools the client sent beside its own."""

from typing import Any

from langchain.agents import create_agent
from langchain_openai import ChatOpenAI

from k8gentai.agents import AgentContext
from tests.agents.calculator import add, multiply


def agent(context: AgentContext) -> Any:
    model = ChatOpenAI(
        model=context.model.model or "somebody-elses-model",
        base_url=context.model.base_url,
        api_key=context.model.api_key,
    )
    return create_agent(model, tools=[add, multiply, *context.tools])
