"""The graph called directly, in a process of its own: what everything else is compared with.

Reads a number of clients a line, runs turns that many at once, and answers with one line of JSON:
``{"first": [seconds, …], "seconds": …}``. The scripted model is at ``OPENAI_BASE_URL``.
"""

import asyncio
import json
import sys
import time

from bench.agent import agent

QUESTION = "What is 17 times 23?"


async def turn() -> float:
    """Run one streamed turn. Returns the seconds to its first event, which is the model's first delta."""
    began = time.perf_counter()
    first = None
    async for _ in agent.astream(
        {"messages": [{"role": "user", "content": QUESTION}]}, stream_mode=["messages", "updates"]
    ):
        if first is None:
            first = time.perf_counter() - began
    assert first is not None
    return first


async def turns(clients: int, each: int) -> dict[str, object]:
    """Run turns, so many at once."""

    async def client() -> list[float]:
        return [await turn() for _ in range(each)]

    began = time.perf_counter()
    firsts = await asyncio.gather(*(client() for _ in range(clients)))
    return {"first": [first for some in firsts for first in some], "seconds": time.perf_counter() - began}


async def main() -> None:
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        clients, each = map(int, line.split())
        print(json.dumps(await turns(clients, each)), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
