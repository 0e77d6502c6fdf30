"""The agent that a definition without an entrypoint describes: a prompt around a model."""

import re
from typing import Any

from beeai_framework.adapters.openai import OpenAIChatModel
from beeai_framework.agents.requirement import RequirementAgent
from beeai_framework.backend.types import ChatModelParameters
from beeai_framework.template import PromptTemplate, PromptTemplateInput

from k8gentai.agents.adapters.base.parameters import chat_parameters
from k8gentai.agents.adapters.beeai.tools import OwnTool
from k8gentai.agents.contract.context import AgentContext
from k8gentai.agents.resources.agent import AgentDefinition

_ESCAPED = re.compile(r"(?<!{){{\s*([\w.]+)\s*}}(?!})")
"""A variable of a Mustache template that is escaped for HTML: one without a ``&`` or a third brace."""


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
        templates={"system": _verbatim, "task": _verbatim},
    )


def _verbatim(template: PromptTemplate[Any]) -> PromptTemplate[Any]:
    """Return a template that puts texts in as they are: BeeAI's own write ``<`` as ``&lt;``, as for a page."""

    def unescaped(given: PromptTemplateInput[Any]) -> PromptTemplateInput[Any]:
        return given.model_copy(update={"template": _ESCAPED.sub(r"{{&\1}}", given.template)})

    return template.fork(unescaped)
