"""BeeAI alone. A turn has a memory of its own: an agent's would hold all the others' words, too."""

from copy import copy
from typing import Any

from beeai_framework.memory import UnconstrainedMemory

from bench import alone
from bench.turns import QUESTION
from tests.conformance.agents.beeai import agents


async def turn(agent: Any) -> str:
    own = copy(agent)
    own.memory = UnconstrainedMemory()
    return str((await own.run(QUESTION)).last_message.text)


if __name__ == "__main__":
    alone.run(turn, agents)
