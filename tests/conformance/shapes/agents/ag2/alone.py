"""Runs an agent, or a function of several, by AG2 alone."""

from typing import Any

from ag2 import Agent
from pydantic import BaseModel


async def run(agent: Any, prompt: str) -> str:
    """What an agent says last, or what a function returns."""
    if not isinstance(agent, Agent):
        return _words(await agent(prompt))
    return _words(await (await agent.ask(prompt)).content())


def _words(result: Any) -> str:
    return result.model_dump_json() if isinstance(result, BaseModel) else str(result)
