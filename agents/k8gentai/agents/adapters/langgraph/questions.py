"""What a graph asks of people: ``interrupt()``, as its own code or LangChain's middleware calls it.

The node that asked runs again from its beginning when the answer is there, as LangGraph documents it
(https://docs.langchain.com/oss/python/langgraph/interrupts).
"""

import asyncio
import json
from typing import Any

from langgraph.types import Interrupt

from k8gentai.agents.json_text import shown_json
from k8gentai.agents.turn import Decision, ToolBoundary


class Questions:
    """The interrupts of one attempt, numbered as they come: LangGraph's own ids differ each time a graph runs.

    Args:
        boundary: asks.
    """

    def __init__(self, boundary: ToolBoundary) -> None:
        self._boundary = boundary
        self._asked = 0

    async def answers(self, interrupts: list[Interrupt]) -> dict[str, Any]:
        """Ask about all interrupts that the graph stopped at. Returns what each is resumed with, by its id."""
        values = await asyncio.gather(*(self._answer(interrupt.value) for interrupt in interrupts))
        return dict(zip((interrupt.id for interrupt in interrupts), values, strict=True))

    async def _answer(self, value: Any) -> Any:
        self._asked += 1
        question = f"interrupt-{self._asked}"
        actions = value.get("action_requests") if isinstance(value, dict) else None
        if actions is None:
            return _resumed(await self._boundary.ask(question, "interrupt", shown_json(value)))
        # LangChain's HumanInTheLoopMiddleware asks about several calls at once.
        decisions = await asyncio.gather(
            *(
                self._boundary.ask(f"{question}-{number}", action["name"], shown_json(action["args"]))
                for number, action in enumerate(actions)
            )
        )
        return {"decisions": [_of_middleware(decision) for decision in decisions]}


def _resumed(decision: Decision) -> Any:
    """What ``interrupt()`` returns: whether it was approved, or in place of a plain yes what the person said, read
    as JSON where it is that."""
    if not decision.approve or decision.reason is None:
        return decision.approve
    try:
        return json.loads(decision.reason)
    except ValueError:
        return decision.reason


def _of_middleware(decision: Decision) -> dict[str, Any]:
    if decision.approve:
        return {"type": "approve"}
    return {"type": "reject", "message": decision.reason or "a person did not approve this call"}
