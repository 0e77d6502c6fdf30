"""Runs turns, so many at once, here or at the word of another process.

A process that serves turns (:func:`serve`) reads what to run, ``{agent} {clients} {each}`` a line, and answers
with a line of JSON, the figures: ``{"turns": […], "seconds": …}``, where each turn's entry is what it gave.
"""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

QUESTION = "What is 17 times 23?"

Figures = dict[str, Any]
Turn = Callable[[], Awaitable[Any]]


async def at_once(turn: Turn, clients: int, each: int) -> Figures:
    """Run turns.

    Args:
        clients: how many at once.
        each: how many each of them runs, one after the other.
    """

    async def client() -> list[Any]:
        return [await turn() for _ in range(each)]

    began = time.perf_counter()
    given = await asyncio.gather(*(client() for _ in range(clients)))
    return {"turns": [one for some in given for one in some], "seconds": time.perf_counter() - began}


async def serve(turns: Mapping[str, Turn]) -> None:
    """Run turns as standard input says, to its end.

    Args:
        turns: how to run one, by the agent.
    """
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        agent, clients, each = line.split()
        # Frameworks print what they do.
        with contextlib.redirect_stdout(sys.stderr):
            figures = await at_once(turns[agent], int(clients), int(each))
        print(json.dumps(figures), flush=True)
