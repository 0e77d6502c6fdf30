"""The agent that a definition without an entrypoint describes: a prompt around a model."""

from typing import Any

from ag2 import Agent
from ag2.config import OpenAIConfig
from ag2.tools.final import FunctionTool, tool
from ag2.utils import CONTEXT_OPTION_NAME

from k8gentai.agents.adapters.base.parameters import chat_parameters
from k8gentai.agents.contract.context import AgentContext
from k8gentai.agents.contract.turn import DeclaredTool
from k8gentai.agents.resources.agent import AgentDefinition


def build_agent(definition: AgentDefinition, context: AgentContext) -> Agent:
    """Build the agent for one turn: the request's parameters go before the definition's."""
    parameters = chat_parameters(definition, context)
    response_format = parameters.pop("response_format", None)
    extra: dict[str, Any] = {"response_format": response_format} if response_format else {}
    return Agent(
        definition.id,
        prompt=definition.spec.system_prompt or (),
        config=OpenAIConfig(
            context.model.model or definition.spec.model.name or "",
            base_url=context.model.base_url,
            api_key=context.model.api_key,
            # The gateway knows better when a call may be made again.
            max_retries=0,
            extra_body=extra or None,
            **parameters,
        ),
        tools=[_bound(declared) for declared in context.declared],
    )


def _bound(declared: DeclaredTool) -> FunctionTool:
    """Return a tool in AG2's terms; the middleware that every agent has brings its calls to the boundary."""

    async def call(**arguments: Any) -> str:
        # AG2's context comes with them.
        arguments.pop(CONTEXT_OPTION_NAME, None)
        return await declared.call(arguments)

    return tool(call, name=declared.name, description=declared.description, schema=declared.parameters)
