"""A cancelled turn: the model's stream is closed, and nothing of the turn goes on."""

import asyncio
import re
from pathlib import Path

from tests.conformance.helpers import eventually, prompt, write
from tests.scripted import FOREVER, Answer, Gate


async def test_the_models_stream_is_closed(client, model, key):
    model.script(key, Answer("Never ", FOREVER))
    turn = await client.responses.create(model="plain", input=prompt(key), background=True)
    request = await model.request(key)
    assert (await client.responses.cancel(turn.id)).status == "cancelled"
    await request.wait_closed(1)


async def test_a_model_that_has_not_answered_yet_is_left(client, model, key):
    model.script(key, Answer(Gate(), "Never."))
    turn = await client.responses.create(model="plain", input=prompt(key), background=True)
    request = await model.request(key)
    await client.responses.cancel(turn.id)
    await request.wait_closed(1)


async def test_no_model_call_follows(client, model, key):
    """Ten turns are cancelled in the middle of an answer; their agents do not go on with half of one."""
    turns = []
    for number in range(10):
        model.script(f"{key}-{number}", Answer("Never ", FOREVER), Answer("Never either."))
        turns.append(
            await client.responses.create(model="scribe", input=prompt(f"{key}-{number}"), background=True)
        )
    for number, turn in enumerate(turns):
        request = await model.request(f"{key}-{number}")
        await client.responses.cancel(turn.id)
        await request.wait_closed(1)
    model.script(key, Answer("Still here."))
    assert (await client.responses.create(model="scribe", input=prompt(key))).output_text == "Still here."
    assert all(len(model.requests(f"{key}-{number}")) == 1 for number in range(10))


async def test_no_thread_is_left_reading(client, stack, model, key):
    async def cancel_ten(name):
        turns = []
        for number in range(10):
            model.script(f"{name}-{number}", Answer("Never ", FOREVER))
            turn = await client.responses.create(model="plain", input=prompt(f"{name}-{number}"), background=True)
            turns.append(turn.id)
        for number, turn_id in enumerate(turns):
            await model.request(f"{name}-{number}")
            await client.responses.cancel(turn_id)

    async def threads():
        return sum(thread_count(pid) for pid in stack.worker_pids())

    await cancel_ten(key)
    # Pools keep their threads for the next turns, which take no more of them.
    settled = await steady(threads)
    await cancel_ten(f"{key}-again")
    await eventually(threads, lambda count: count <= settled)


def thread_count(pid):
    found = re.search(r"^Threads:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1])


async def steady(look):
    """What is seen once it stays the same."""
    seen = []

    async def again():
        seen.append(await look())
        return seen[-5:]

    last = await eventually(again, lambda found: len(found) == 5 and len(set(found)) == 1)
    return last[0]


async def test_a_tool_that_comes_back_late_is_not_followed(client, model, key, page):
    model.script(key, Answer(write(page, "late", "linger")), Answer("Never."))
    turn = await client.responses.create(model="scribe", input=prompt(key), background=True)

    async def begun():
        return page.exists()

    await eventually(begun, bool)
    assert (await client.responses.cancel(turn.id)).status == "cancelled"
    page.with_suffix(".go").touch()
    model.script(f"{key}-next", Answer("Next."))
    response = await client.responses.create(model="scribe", input=prompt(f"{key}-next"))
    assert response.output_text == "Next."
    assert len(model.requests(key)) == 1


async def test_the_worker_takes_the_next_turn(client, model, key):
    model.script(key, Answer("Never ", FOREVER), Answer("Still here."))
    turn = await client.responses.create(model="plain", input=prompt(key), background=True)
    await model.request(key)
    await client.responses.cancel(turn.id)
    async with asyncio.timeout(20):
        response = await client.responses.create(model="plain", input=prompt(key))
    assert response.output_text == "Still here."
