"""``k8gentai turns``: a person sees what runs and what ran, and can end it."""

import asyncio

from tests.integration.helpers import ended, prompt
from tests.scripted import FOREVER, Answer, Call, Gate
from tests.support.processes import run_python


async def turns(stack, *words):
    return await asyncio.to_thread(
        run_python,
        "-m",
        "k8gentai.stack.commands.cli",
        "turns",
        *words,
        # Nobody reads it at a terminal: nothing is cut.
        environment={**stack.environment, "COLUMNS": "30"},
    )


async def test_a_turn_is_listed_shown_and_its_events_are_followed_to_the_end(stack, client, model, key):
    gate = Gate()
    model.script(key, Answer(Call("multiply", {"a": 6, "b": 7})), Answer("It is ", gate, "42."))
    turn = await client.responses.create(model="calculator", input=prompt(key), background=True)
    await gate.reached()
    following = asyncio.create_task(turns(stack, "events", "--follow", turn.id))
    listed = await turns(stack, "list")
    (row,) = [line for line in listed.stdout.splitlines() if turn.id in line]
    assert "calculator" in row
    assert "running" in row
    gate.open()
    await ended(client, turn.id)
    lines = (await following).stdout.splitlines()
    assert [int(line.split()[0]) for line in lines] == list(range(1, len(lines) + 1))
    assert "turn.accepted" in lines[0]
    assert "turn.completed" in lines[-1]
    shown = (await turns(stack, "show", turn.id)).stdout
    lines = shown.replace("model calls", "model-calls").splitlines()
    facts = {name: value.strip() for name, value in (line.split(maxsplit=1) for line in lines)}
    assert facts["model-calls"] == "2"
    assert facts["tokens"] == "22 in, 14 out"
    assert facts["status"].startswith("completed")
    assert facts["attempts"].startswith("1 on langgraph-")


async def test_a_running_turn_is_cancelled_and_one_that_ended_is_not(stack, client, model, key):
    model.script(key, Answer("On and on ", FOREVER))
    turn = await client.responses.create(model="plain", input=prompt(key), background=True)
    request = await model.request(key)
    done = await turns(stack, "cancel", turn.id)
    assert (done.returncode, done.stdout.strip()) == (0, "Cancelled; it was running.")
    await request.wait_closed()
    assert (await client.responses.retrieve(turn.id)).status == "cancelled"
    again = await turns(stack, "cancel", turn.id)
    assert again.returncode == 1
    assert "had ended before (cancelled)" in again.stderr


async def test_an_unknown_turn_is_told_in_one_line(stack):
    done = await turns(stack, "show", "resp_unknown")
    assert done.returncode == 1
    assert done.stderr.strip() == "There is no turn resp_unknown: 'k8gentai turns list' shows those there are."
