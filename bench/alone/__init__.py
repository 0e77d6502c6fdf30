"""Each framework run alone: the conformance suite's agents in a plain process of the framework's environment.

Nothing of ours is at work there but the loop that asks for turns (:mod:`bench.turns`). A module is how one turn is
run, as the framework's documentation runs one, whose whole answer is waited for; what a turn gives is the answer.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from types import ModuleType
from typing import Any

from bench.turns import serve

AGENTS = ("plain", "calculator")
"""The agents that are measured, by their names in the conformance suite."""


def run(turn: Callable[[Any], Awaitable[str]], agents: ModuleType) -> None:
    """Serve turns of the agents.

    Args:
        turn: runs one turn of an agent, and returns its answer.
        agents: the module that the agents are made in.
    """
    asyncio.run(serve({name: partial(turn, getattr(agents, name)) for name in AGENTS}))
