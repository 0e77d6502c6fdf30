"""AG2 alone."""

from typing import Any

from bench import alone
from bench.turns import QUESTION
from tests.conformance.agents.ag2 import agents


async def turn(agent: Any) -> str:
    return str((await agent.ask(QUESTION)).body)


if __name__ == "__main__":
    alone.run(turn, agents)
