"""The agent that a definition without an entrypoint describes: a prompt around a model."""

from typing import Any

from crewai import LLM, Agent

from k8gentai.agents.adapters.base.parameters import chat_parameters
from k8gentai.agents.adapters.crewai.tools import declared_tools
from k8gentai.agents.contract.context import AgentContext
from k8gentai.agents.resources.agent import AgentDefinition


def build_agent(definition: AgentDefinition, context: AgentContext) -> Agent:
    """Build the agent for one turn: the request's parameters go before the definition's."""
    spec = definition.spec
    return Agent(
        role=spec.display_name or definition.id,
        goal=spec.description or "Answer the user.",
        backstory=spec.system_prompt or "",
        llm=_model(definition, context),
        tools=declared_tools(context.declared),
        max_iter=10_000,
    )


def _model(definition: AgentDefinition, context: AgentContext) -> Any:
    parameters = chat_parameters(definition, context)
    # Fields of CrewAI's own; it passes on the rest as it is.
    known = ("temperature", "top_p", "max_tokens", "frequency_penalty", "presence_penalty")
    return LLM(
        model=context.model.model or definition.spec.model.name or "",
        # Its name may look like another provider's; the gateway speaks OpenAI's language only.
        provider="openai",
        base_url=context.model.base_url,
        api_key=context.model.api_key,
        **{name: parameters.pop(name) for name in known if name in parameters},
        additional_params=parameters,
        # The gateway knows better when a call may be made again.
        max_retries=0,
    )
