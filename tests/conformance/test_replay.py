"""A turn whose worker dies goes on elsewhere: no recorded model call and no finished tool is repeated."""

import asyncio

import pytest

from tests.conformance.capabilities import PARALLEL_TOOLS
from tests.conformance.helpers import (
    check_sequence,
    collect,
    eventually,
    items_of,
    prompt,
    running,
    text_of,
    write,
)
from tests.scripted import FOREVER, Answer, Gate


async def start(client, key):
    turn = await client.responses.create(model="scribe", input=prompt(key), background=True)
    return turn.id, asyncio.create_task(collect(await client.responses.retrieve(turn.id, stream=True)))


async def test_no_recorded_call_is_made_again(own_stack, workers, own_client, model, key, page):
    gate = Gate()
    steps = [Answer(f"Now line {number}. ", write(page, number)) for number in range(5)]
    model.script(key, *steps[:3], Answer("Now ", gate, FOREVER), *steps[3:], Answer("All ", "written."))
    turn_id, reading = await start(own_client, key)
    await gate.reached()
    running(own_stack, workers, turn_id).kill()
    events = await reading
    check_sequence(events)
    response = events[-1].response
    assert response.status == "completed"
    # Three were recorded, one was cut off, three came after.
    assert len(model.requests(key)) == 3 + 1 + 3
    lines = page.read_text().splitlines()
    assert [line.split()[0] for line in lines] == [str(number) for number in range(5)]
    assert len({line.split()[1] for line in lines}) == 5
    assert [call.output for call in items_of(response, "mcp_call")] == [f"wrote {number}" for number in range(5)]
    expected = [f"Now line {number}. " for number in range(5)] + ["All written."]
    assert [item.content[0].text for item in items_of(response, "message")] == expected
    assert text_of(events) == "".join(expected)


@pytest.mark.capability(PARALLEL_TOOLS)
async def test_finished_tools_of_a_step_do_not_run_again(own_stack, workers, own_client, model, key, page):
    calls = [write(page, number) for number in range(2)]
    model.script(key, Answer(*calls, write(page, "slow", "linger")), Answer("Done."))
    turn_id, reading = await start(own_client, key)

    async def recorded():
        with own_stack.redis() as redis:
            journal = redis.hgetall(f"amf:turn:{turn_id}:journal")
        return sum(b'"done"' in entry for entry in journal.values())

    async def lines():
        return page.read_text().splitlines() if page.exists() else []

    await eventually(recorded, lambda done: done == 2)
    await eventually(lines, lambda found: len(found) == 3)
    running(own_stack, workers, turn_id).kill()
    found = await eventually(lines, lambda found: len(found) == 4)
    page.with_suffix(".go").touch()
    events = await reading
    check_sequence(events)
    assert events[-1].response.output_text == "Done."
    slow = [line for line in found if line.startswith("slow")]
    # What was running runs again, and is told by its key that it may have run before.
    assert len(slow) == 2
    assert len(set(slow)) == 1
    assert len(model.requests(key)) == 2
