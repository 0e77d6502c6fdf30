"""The agent that a definition without an entrypoint describes: a prompt around a model."""

from beeai_framework.adapters.openai import OpenAIChatModel
from beeai_framework.agents.requirement import RequirementAgent
from beeai_framework.backend.types import ChatModelParameters

from k8gentai.agents.adapters.base.parameters import chat_parameters
from k8gentai.agents.adapters.beeai.tools import OwnTool
from k8gentai.agents.contract.context import AgentContext
from k8gentai.agents.resources.agent import AgentDefinition


def build_agent(definition: AgentDefinition, context: AgentContext) -> RequirementAgent:
    """Build the agent for one turn: the request's parameters go before the definition's."""
    spec = definition.spec
    asked = chat_parameters(definition, context)
    known = {name: asked.pop(name) for name in ChatModelParameters.model_fields if name in asked}
    return RequirementAgent(
        # Its address is the environment's, as LiteLLM keeps a client for each address and key.
        llm=OpenAIChatModel(
            context.model.model or spec.model.name,
            parameters=ChatModelParameters(**known),
            # What BeeAI has no name for, or sets by itself.
            settings={"extra_body": asked} if asked else {},
        ),
        tools=[OwnTool(tool) for tool in context.declared],
        name=definition.id,
        description=spec.description,
        instructions=spec.system_prompt,
        final_answer_as_tool=False,
    )
