"""The agent that a definition without an entrypoint describes: a prompt around a model."""

from typing import Any

from ag2 import Agent
from ag2.config import OpenAIConfig

from k8gentai.agents.context import AgentContext
from k8gentai.agents.definition import AgentDefinition
from k8gentai.agents.parameters import chat_parameters


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
    )
