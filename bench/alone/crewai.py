"""CrewAI alone. A turn has a thread, as CrewAI blocks, and a copy of the agent, as CrewAI keeps a run's state in it."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bench import alone
from bench.turns import QUESTION
from tests.conformance.agents.crewai import agents

# asyncio's own has few more than the machine has cores.
_threads = ThreadPoolExecutor(64)


def _kickoff(agent: Any) -> str:
    return str(agent.copy().kickoff(QUESTION).raw)


async def turn(agent: Any) -> str:
    return await asyncio.get_running_loop().run_in_executor(_threads, _kickoff, agent)


if __name__ == "__main__":
    alone.run(turn, agents)
