"""The agent that a definition without an entrypoint describes: a prompt around a model."""

from typing import Any

from langchain.agents import create_agent
from langchain_core.tools import StructuredTool
from langchain_openai import ChatOpenAI
from langgraph.pregel import Pregel
from pydantic import SecretStr

from k8gentai.agents.adapters.base.parameters import chat_parameters
from k8gentai.agents.contract.context import AgentContext
from k8gentai.agents.contract.turn import DeclaredTool
from k8gentai.agents.resources.agent import AgentDefinition


def build_graph(definition: AgentDefinition, context: AgentContext) -> Pregel[Any, Any, Any, Any]:
    """Build the agent for one turn: the request's parameters go before the definition's."""
    return create_agent(
        _model(definition, context),
        # Those of the request are schemas: known to the model, and run by nobody here.
        tools=[*context.tools, *map(_bound, context.declared)],
        system_prompt=definition.spec.system_prompt,
        name=definition.id,
    )


def _bound(tool: DeclaredTool) -> StructuredTool:
    """Return a tool in LangChain's terms; the graph's tool node brings its calls to the boundary."""

    async def call(**arguments: Any) -> str:
        return await tool.call(arguments)

    return StructuredTool(
        name=tool.name, description=tool.description, args_schema=tool.parameters, coroutine=call
    )


def _model(definition: AgentDefinition, context: AgentContext) -> ChatOpenAI:
    return ChatOpenAI(
        model=context.model.model or definition.spec.model.name or "",
        base_url=context.model.base_url,
        api_key=SecretStr(context.model.api_key),
        # As they are: of its own fields ChatOpenAI would rename some, and parse the answer of others.
        extra_body=chat_parameters(definition, context) or None,
        # The gateway knows better when a call may be made again.
        max_retries=0,
    )
