"""LangGraph alone."""

from typing import Any

from bench import alone
from bench.turns import QUESTION
from tests.conformance.agents.langgraph import agents


async def turn(agent: Any) -> str:
    answer = await agent.ainvoke({"messages": [{"role": "user", "content": QUESTION}]})
    return str(answer["messages"][-1].text)


if __name__ == "__main__":
    alone.run(turn, agents)
