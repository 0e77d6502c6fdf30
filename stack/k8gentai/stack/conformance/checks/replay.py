"""A turn whose worker dies goes on elsewhere: no recorded model call and no finished tool is repeated."""

import asyncio
from typing import Any

from k8gentai.stack.conformance.capabilities import Capability, check
from k8gentai.stack.conformance.expect import equal, eventually
from k8gentai.stack.conformance.lab import Lab, completed, items, said
from k8gentai.stack.conformance.scripted import FOREVER, Answer, Gate
from k8gentai.workers.queue.record import TurnRecord


async def _begin(lab: Lab, agent: str) -> tuple[str, "asyncio.Task[list[Any]]"]:
    """Return a turn, and its stream being read."""
    turn_id = await lab.begin(agent)
    return turn_id, asyncio.create_task(lab.follow(turn_id))


async def _check_nothing_repeated(lab: Lab, turn_id: str) -> None:
    record = await lab.record(turn_id)
    equal("times its worker died", record.crashes, 1)
    equal("recorded calls made again", (record.models_repeated, record.tools_repeated), (0, 0))


@check(Capability.REPLAY)
async def text_goes_on_where_it_was(lab: Lab) -> None:
    """Killed in the middle of an answer, which the model gives alike the second time."""
    gate = Gate()
    lab.script(Answer("Half of ", gate, FOREVER), Answer("Half of ", "an answer."))
    turn_id, reading = await _begin(lab, "plain")
    await gate.reached()
    await lab.kill_worker_of(turn_id)
    events = await reading
    equal("the answer", completed(events[-1].response).output_text, "Half of an answer.")
    equal("what was streamed", said(events), "Half of an answer.")
    equal("model calls", len(lab.requests()), 2)
    await _check_nothing_repeated(lab, turn_id)


@check(Capability.REPLAY, Capability.TOOLS)
async def no_recorded_call_is_made_again(lab: Lab) -> None:
    """Killed in the fourth of six model calls."""
    gate = Gate()
    steps = [Answer(f"Now line {number}. ", lab.write(number)) for number in range(5)]
    lab.script(*steps[:3], Answer("Now ", gate, FOREVER), *steps[3:], Answer("All ", "written."))
    turn_id, reading = await _begin(lab, "scribe")
    await gate.reached()
    await lab.kill_worker_of(turn_id)
    events = await reading
    response = completed(events[-1].response)
    equal("model calls: three recorded, one cut off, three after", len(lab.requests()), 3 + 1 + 3)
    equal("lines written", [line.split()[0] for line in lab.lines()], ["0", "1", "2", "3", "4"])
    equal("idempotency keys", len({line.split()[1] for line in lab.lines()}), 5)
    results = [call.output for call in items(response, "mcp_call")]
    equal("results", results, [f"wrote {number}" for number in range(5)])
    texts = [item.content[0].text for item in items(response, "message")]
    equal("messages", texts, [f"Now line {number}. " for number in range(5)] + ["All written."])
    equal("what was streamed", said(events), "".join(texts))
    equal("tokens of answers that were recorded, counted once", response.usage.output_tokens, 7 * 6)
    await _check_nothing_repeated(lab, turn_id)


@check(Capability.PARALLEL_REPLAY, Capability.PARALLEL_TOOLS, Capability.TOOLS)
async def finished_tools_of_a_step_do_not_run_again(lab: Lab) -> None:
    """Killed while one of three tools still runs."""
    lab.script(Answer(lab.write(0), lab.write(1), lab.write("slow", "linger")), Answer("Done."))
    turn_id, reading = await _begin(lab, "scribe")

    async def record() -> TurnRecord:
        return await lab.record(turn_id)

    await eventually("two tools are recorded", record, lambda turn: turn.tools_made == 2)
    await lab.written(3)
    await lab.kill_worker_of(turn_id)
    try:
        lines = await lab.written(4)
    finally:
        lab.release()
    events = await reading
    equal("the answer", completed(events[-1].response).output_text, "Done.")
    slow = [line for line in lines if line.startswith("slow")]
    equal("runs of the tool that was running", len(slow), 2)
    equal("its idempotency keys", len(set(slow)), 1)
    equal("model calls", len(lab.requests()), 2)
    await _check_nothing_repeated(lab, turn_id)
