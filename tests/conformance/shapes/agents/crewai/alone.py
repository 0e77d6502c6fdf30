"""Runs an agent, a crew or a flow by CrewAI alone; a person accepts whatever it asks."""

import asyncio
import builtins
import json
from typing import Any

from crewai import Agent, Crew, Flow

from tests.conformance.shapes.agents.functions import Order

builtins.input = lambda *_: ""


async def run(agent: Any, prompt: str) -> str:
    """What a kickoff comes to."""
    return await asyncio.to_thread(_run, agent, prompt)


def _run(agent: Any, prompt: str) -> str:
    if isinstance(agent, Agent):
        return _words(agent.kickoff(prompt))
    if isinstance(agent, type):
        agent = agent() if issubclass(agent, Flow) else agent().crew()
    made: Crew | Flow[Any] = agent.copy() if isinstance(agent, Crew) else agent
    return _words(made.kickoff(inputs={"input": prompt}))


def _words(result: Any) -> str:
    made = result if isinstance(result, Order) else getattr(result, "pydantic", None)
    if made is not None:
        return made.model_dump_json()
    if filled := getattr(result, "json_dict", None):
        return json.dumps(filled)
    return str(getattr(result, "raw", result))
