"""Runs an agent, a workflow, or a function of several, by BeeAI alone."""

from functools import partial
from typing import Any

from beeai_framework.adapters.litellm import chat
from beeai_framework.agents.requirement import RequirementAgent
from beeai_framework.workflows.agent import AgentWorkflow, AgentWorkflowInput

from tests.conformance.shapes.agents.functions import Order

# Else it imports what it has of MCP for its proxy, which is not there for the release of MCP that BeeAI wants.
chat.acompletion = partial(chat.acompletion, _skip_mcp_handler=True)


async def run(agent: Any, prompt: str) -> str:
    """What an agent says last, or what a function returns."""
    if isinstance(agent, AgentWorkflow):
        return str((await agent.run([AgentWorkflowInput(prompt=prompt)])).state.final_answer)
    if isinstance(agent, RequirementAgent):
        return (await agent.run(prompt)).last_message.text
    return _words(await agent(prompt))


def _words(result: Any) -> str:
    structured = getattr(result, "output_structured", result)
    if isinstance(structured, Order):
        return structured.model_dump_json()
    last = getattr(result, "last_message", None)
    return str(result) if last is None else last.text
