"""The graph called directly, in a process of its own: what the spine is compared with.

What a turn gives is the seconds to its first event. The scripted model is at ``OPENAI_BASE_URL``.
"""

import asyncio
import time

from bench.agent import agent
from bench.turns import QUESTION, serve


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


if __name__ == "__main__":
    asyncio.run(serve({"bench": turn}))
