"""Code that blocks the event loop for its own models and tools works as with LangGraph alone."""

import asyncio

import pytest

from tests.integration.helpers import ON_ONE_HOST, ended, eventually, prompt
from tests.integration.test_approval import answer, asked, lines
from tests.integration.test_replay import running
from tests.scripted import Answer, Call

pytestmark = ON_ONE_HOST

BLOCKED = ("blocked-agent", "blocked-thread", "blocked-node", "blocked-by-hand")


def write(page, line):
    return Call("write", {"path": str(page), "line": line})


@pytest.mark.parametrize("agent", BLOCKED)
async def test_a_blocked_loop_has_its_models_and_tools(client, model, key, tmp_path, agent):
    page = tmp_path / "page.txt"
    model.script(key, Answer(write(page, "one"), write(page, "two")), Answer("Both are written."))
    response = await client.responses.create(model=agent, input=prompt(key))
    assert (response.status, response.output_text) == ("completed", "Both are written.")
    calls = [item for item in response.output if item.type == "mcp_call"]
    assert [(call.name, call.output) for call in calls] == [("write", "wrote one"), ("write", "wrote two")]
    # Each under the idempotency key of its call, once.
    lines = [line.split() for line in page.read_text().splitlines()]
    assert sorted(line for line, _ in lines) == ["one", "two"]
    assert len({made for _, made in lines}) == 2


async def test_blocked_turns_all_end(client, model, key, tmp_path):
    page = tmp_path / "page.txt"
    keys = [f"{key}-{number}" for number in range(8)]
    for one in keys:
        model.script(one, Answer(write(page, one)), Answer("It is written."))
    responses = await asyncio.gather(
        *(
            client.responses.create(model=BLOCKED[number % len(BLOCKED)], input=prompt(one))
            for number, one in enumerate(keys)
        )
    )
    assert [response.output_text for response in responses] == ["It is written."] * len(keys)
    assert sorted(line.split()[0] for line in page.read_text().splitlines()) == sorted(keys)


@pytest.mark.parametrize("agent", ["guarded-by-hand", "guarded-in-node"])
async def test_a_tool_that_no_tool_node_shows_waits_for_a_person(client, model, key, tmp_path, agent):
    page = tmp_path / "page.txt"
    model.script(key, Answer(write(page, "one"), write(page, "two")), Answer("One is written."))
    first = await client.responses.create(model=agent, input=prompt(key))
    while requests := asked(first):
        answers = [answer(each, "one" in each.arguments, "No.") for each in requests]
        first = await client.responses.create(model=agent, previous_response_id=first.id, input=answers)
    assert (first.status, first.output_text) == ("completed", "One is written.")
    assert lines(page) == ["one"]
    assert len(model.requests(key)) == 2
    assert [text for text in model.requests(key)[1].texts("tool") if "No." in text]


async def test_tools_by_hand_that_finished_do_not_run_again(own_stack, model, key, tmp_path):
    page = tmp_path / "page.txt"
    server = own_stack.add_server()
    workers = {worker.pid: worker for worker in (own_stack.add_worker("langgraph") for _ in range(2))}
    linger = Call("linger", {"path": str(page), "line": "slow"})
    model.script(key, Answer(write(page, "one"), linger), Answer("Both are written."))
    async with server.openai() as client:
        turn = await client.responses.create(model="blocked-by-hand", input=prompt(key), background=True)

        async def written():
            return lines(page)

        await eventually(written, lambda found: found == ["one", "slow"])
        running(own_stack, workers, turn.id).kill()
        await eventually(written, lambda found: found == ["one", "slow", "slow"])
        page.with_suffix(".go").touch()
        assert (await ended(client, turn.id)).output_text == "Both are written."
    assert len(model.requests(key)) == 2
    # What was running when its worker died is told by its key that it may have run before.
    assert len({line for line in page.read_text().splitlines() if line.startswith("slow")}) == 1
