"""Functions that answer in a structure."""

import asyncio
from typing import Any

from beeai_framework.adapters.openai import OpenAIChatModel
from beeai_framework.agents.requirement import RequirementAgent
from beeai_framework.tools import tool
from pydantic import BaseModel

from k8gentai.stack.conformance import tools

_add = tool(tools.add)


class Plan(BaseModel):
    """A plan."""

    city: str
    days: int


def _agent() -> RequirementAgent:
    return RequirementAgent(llm=OpenAIChatModel("gpt-4.1-mini"), tools=[_add])


async def planner(question: str) -> Any:
    """Have an agent plan."""
    return await _agent().run(question, expected_output=Plan)


async def coded(question: str) -> Plan:
    """Plan by code, from what an agent says."""
    said = await _agent().run(question)
    return Plan(city=said.last_message.text.strip(), days=3)


async def racing(question: str) -> Any:
    """Answer with what the quicker of two agents says."""
    asking = [asyncio.create_task(_asked(question)) for _ in range(2)]
    done, others = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
    for other in others:
        other.cancel()
    return done.pop().result()


async def _asked(question: str) -> Any:
    return await _agent().run(question)
