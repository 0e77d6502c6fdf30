"""Turns of one agent at the same time know nothing of each other."""

import asyncio

from k8gentai.stack.conformance.capabilities import Capability, check
from k8gentai.stack.conformance.expect import equal
from k8gentai.stack.conformance.lab import Lab, completed, items
from k8gentai.stack.conformance.scripted import Answer, Call, Gate

_TURNS = 20


@check(Capability.AT_ONCE)
async def twenty_answers_at_once(lab: Lab) -> None:
    """All are in their first model call before any goes on, so that they run side by side."""
    gate = Gate()
    for number in range(_TURNS):
        lab.script(Answer(f"Turn {number} ", gate, f"ends as {number}."), part=number)
    turns = [asyncio.create_task(lab.ask("plain", part=number)) for number in range(_TURNS)]
    await _all_ask(lab, gate)
    for number, response in enumerate(await asyncio.gather(*turns)):
        equal("the answer", completed(response).output_text, f"Turn {number} ends as {number}.")
        equal("tokens", response.usage.output_tokens, 7)
        equal("messages of the user", len(lab.requests(number)[0].texts("user")), 1)


@check(Capability.AT_ONCE, Capability.TOOLS)
async def twenty_tool_calls_at_once(lab: Lab) -> None:
    gate = Gate()
    for number in range(_TURNS):
        lab.script(
            Answer(f"Turn {number}. ", gate, Call("add", {"a": number, "b": 1000})),
            Answer(f"End of {number}."),
            part=number,
        )
    turns = [asyncio.create_task(lab.ask("calculator", part=number)) for number in range(_TURNS)]
    await _all_ask(lab, gate)
    for number, response in enumerate(await asyncio.gather(*turns)):
        equal("the answer", completed(response).output_text, f"Turn {number}. End of {number}.")
        equal("results", [float(call.output) for call in items(response, "mcp_call")], [number + 1000])
        equal("tokens", response.usage.output_tokens, 14)
        told = [float(text) for text in lab.requests(number)[1].texts("tool")]
        equal("results shown to the model", told, [number + 1000])


async def _all_ask(lab: Lab, gate: Gate) -> None:
    try:
        for number in range(_TURNS):
            await lab.request(part=number)
    finally:
        gate.open()
