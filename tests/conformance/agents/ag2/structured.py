"""Agents that answer in a structure."""

import asyncio

from ag2 import Agent
from ag2.config import OpenAIConfig
from pydantic import BaseModel

from k8gentai.stack.conformance import tools


class Plan(BaseModel):
    """A plan."""

    city: str
    days: int


_config = OpenAIConfig("gpt-4.1-mini")
planner = Agent("planner", prompt="Plan.", config=_config, tools=[tools.add], response_schema=Plan)
_writer = Agent("writer", prompt="Write.", config=_config)


async def coded(question: str) -> Plan:
    """Plan by code, from what an agent says."""
    said = await _writer.ask(question)
    return Plan(city=str(said.body).strip(), days=3)


async def racing(question: str) -> str:
    """Answer with what the quicker of two agents says."""
    asking = [asyncio.create_task(_writer.ask(question)) for _ in range(2)]
    done, others = await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
    for other in others:
        other.cancel()
    return str(done.pop().result().body)
