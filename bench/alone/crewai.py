"""CrewAI alone. A turn has a thread, as CrewAI blocks, and a copy of the agent, which keeps a run's state.

What CrewAI says on the side is off, as it is in a worker: a box for each turn, a warning for each model call.
"""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from crewai_core.printer import set_suppress_console_output

from bench import alone
from bench.turns import QUESTION
from tests.conformance.agents.crewai import agents

# asyncio's own has few more than the machine has cores.
_threads = ThreadPoolExecutor(64)


def _kickoff(agent: Any) -> str:
    set_suppress_console_output(True)
    return str(agent.copy().kickoff(QUESTION).raw)


async def turn(agent: Any) -> str:
    return await asyncio.get_running_loop().run_in_executor(_threads, _kickoff, agent)


if __name__ == "__main__":
    logging.getLogger("crewai.llms.base_llm").setLevel(logging.ERROR)
    alone.run(turn, agents)
