"""A turn's own agent: models and tools are shared, what a run writes is not."""

import copy
from typing import Any

from beeai_framework.agents.requirement import RequirementAgent
from beeai_framework.backend import SystemMessage
from beeai_framework.template import PromptTemplate
from beeai_framework.tools import AnyTool


async def own_agent(agent: RequirementAgent, instructions: list[str], tools: list[AnyTool]) -> RequirementAgent:
    """Copy an agent for a turn. ``RequirementAgent.clone`` would make its model anew each time.

    Args:
        instructions: the request's; they join the agent's own.
        tools: the request's.
    """
    own = copy.copy(agent)
    own.memory = await agent.memory.clone()
    own._tools = [*agent._tools, *tools]
    # They remember, too, such as what a person has permitted.
    own._requirements = [_own_state(requirement) for requirement in agent._requirements]
    if instructions:
        own._templates = agent._templates.model_copy()
        if "{{#instructions}}" in agent._templates.system._config.template:
            own._templates.system = _instructed(agent._templates.system, instructions)
        else:
            await own.memory.add(SystemMessage("\n\n".join(instructions)))
    return own


def _instructed(prompt: PromptTemplate[Any], instructions: list[str]) -> PromptTemplate[Any]:
    """Return a prompt that says the instructions after its own."""
    own = prompt.fork(None)
    before = own._config.defaults.get("instructions")
    own._config.defaults["instructions"] = "\n\n".join([*([before] if before else []), *instructions])
    return own


def _own_state(requirement: Any) -> Any:
    own = copy.copy(requirement)
    for name, value in vars(requirement).items():
        if isinstance(value, dict | list | set):
            setattr(own, name, value.copy())
    return own
