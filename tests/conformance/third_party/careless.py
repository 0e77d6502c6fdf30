"""An adapter that forgets the tool boundary: tools run, but nobody knows of it, and nobody is asked."""

import json
from typing import Any

from k8gentai.agents.contract.turn import TurnContext
from tests.conformance.third_party.adapter import LoopAdapter, use
from tests.conformance.third_party.loop import Agent


class CarelessAdapter(LoopAdapter):
    """Runs tools by itself."""

    framework = "careless"

    async def call(self, loop: Agent, call: dict[str, str], context: TurnContext) -> dict[str, Any]:
        """Run one tool past the boundary."""
        result = await use(loop, call["name"], json.loads(call["arguments"]))
        return {"role": "tool", "tool_call_id": call["id"], "content": result}
