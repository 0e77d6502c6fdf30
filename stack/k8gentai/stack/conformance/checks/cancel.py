"""A cancelled turn: the model's stream is closed, and nothing of the turn goes on."""

import asyncio
import platform
import re
from pathlib import Path

from k8gentai.stack.conformance.capabilities import Capability, check
from k8gentai.stack.conformance.expect import equal, eventually
from k8gentai.stack.conformance.lab import Lab
from k8gentai.stack.conformance.scripted import FOREVER, Answer, Gate

_TURNS = 10


@check(Capability.CANCEL)
async def the_models_stream_is_closed(lab: Lab) -> None:
    lab.script(Answer("Never ", FOREVER))
    turn_id = await lab.begin("plain")
    request = await lab.request()
    equal("the turn's status", (await lab.client.responses.cancel(turn_id)).status, "cancelled")
    await request.wait_closed()


@check(Capability.CANCEL)
async def a_model_that_has_not_answered_yet_is_left(lab: Lab) -> None:
    gate = Gate()
    lab.script(Answer(gate, "Never."))
    turn_id = await lab.begin("plain")
    request = await lab.request()
    await lab.client.responses.cancel(turn_id)
    try:
        await request.wait_closed()
    finally:
        gate.open()


@check(Capability.CANCEL, Capability.TOOLS)
async def no_model_call_follows(lab: Lab) -> None:
    """Turns are cancelled in the middle of an answer; their agents do not go on with half of one."""
    turns = []
    for number in range(_TURNS):
        lab.script(Answer("Never ", FOREVER), Answer("Never either."), part=number)
        turns.append(await lab.begin("scribe", part=number))
    for number, turn_id in enumerate(turns):
        request = await lab.request(part=number)
        await lab.client.responses.cancel(turn_id)
        await request.wait_closed()
    lab.script(Answer("Still here."))
    equal("the next turn's answer", (await lab.answer("scribe")).output_text, "Still here.")
    equal("model calls of each", [len(lab.requests(number)) for number in range(_TURNS)], [1] * _TURNS)


@check(Capability.CANCEL, Capability.TOOLS)
async def a_tool_that_comes_back_late_is_not_followed(lab: Lab) -> None:
    lab.script(Answer(lab.write("late", "linger")), Answer("Never."))
    turn_id = await lab.begin("scribe")
    await lab.written(1)
    equal("the turn's status", (await lab.client.responses.cancel(turn_id)).status, "cancelled")
    lab.release()
    lab.script(Answer("Next."), part="next")
    equal("the next turn's answer", (await lab.answer("scribe", part="next")).output_text, "Next.")
    equal("model calls of the cancelled turn", len(lab.requests()), 1)


@check(Capability.CANCEL)
async def no_thread_is_left_reading(lab: Lab) -> None:
    if platform.system() != "Linux":
        return
    await _cancel_many(lab, "before")
    # Pools keep their threads for the next turns, and may grow by one or two; what is left reading is one a turn.
    most = await _steady(lab) + _TURNS // 2
    await _cancel_many(lab, "after")

    async def look() -> int:
        return _threads(lab)

    await eventually(f"at most {most} threads", look, lambda count: count <= most)


async def _cancel_many(lab: Lab, name: str) -> None:
    parts = [f"{name}-{number}" for number in range(_TURNS)]
    for part in parts:
        lab.script(Answer("Never ", FOREVER), part=part)
    turns = [await lab.begin("plain", part=part) for part in parts]
    for part, turn_id in zip(parts, turns, strict=True):
        await lab.request(part=part)
        await lab.client.responses.cancel(turn_id)


def _threads(lab: Lab) -> int:
    """Return how many threads the workers have."""
    count = 0
    for pid in lab.processes.worker_pids():
        found = re.search(r"^Threads:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
        count += int(found[1]) if found else 0
    return count


async def _steady(lab: Lab) -> int:
    """Return the number of threads once it stays the same."""
    seen: list[int] = []

    async def look() -> list[int]:
        await asyncio.sleep(0)
        seen.append(_threads(lab))
        return seen[-5:]

    last = await eventually("steady threads", look, lambda found: len(found) == 5 and len(set(found)) == 1)
    return last[0]
