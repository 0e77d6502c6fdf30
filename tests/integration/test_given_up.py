"""An agent that stops waiting for a model or a tool goes the same other way when it runs again."""

import asyncio

import pytest

from tests.integration.helpers import ON_ONE_HOST, check_sequence, collect, ended, eventually, prompt
from tests.integration.test_approval import answer, asked, lines
from tests.integration.test_replay import running, write
from tests.integration.test_turns_command import turns
from tests.scripted import FOREVER, Answer, Call, Gate, Refuse

pytestmark = ON_ONE_HOST


@pytest.fixture
def page(tmp_path):
    return tmp_path / "page.txt"


async def killed_in(own_stack, model, key, agent, steps, meanwhile=None):
    """Run a turn whose worker is killed in the last step's answer, and return its response. A file that is touched
    before shows to tools that they may come to their ends."""
    gate = Gate()
    server = own_stack.add_server()
    workers = {worker.pid: worker for worker in (own_stack.add_worker("langgraph") for _ in range(2))}
    model.script(key, *steps, Answer("So ", gate, FOREVER), Answer("So it is."), Answer("Never asked."))
    async with server.openai() as client:
        turn = await client.responses.create(model=agent, input=prompt(key), background=True)
        reading = asyncio.create_task(collect(await client.responses.retrieve(turn.id, stream=True)))
        await gate.reached()
        if meanwhile is not None:
            meanwhile.touch()
        running(own_stack, workers, turn.id).kill()
        events = await reading
    check_sequence(events)
    return events[-1].response


@pytest.mark.parametrize(
    ("agent", "slow"), [("hurried", Gate()), ("hurried-waiting", Gate()), ("hurried-waiting", FOREVER)]
)
async def test_the_other_model_is_asked_in_place_of_one_that_was_slow(own_stack, model, key, page, agent, slow):
    steps = [Answer(slow), Answer("I write. ", write(page, "one")), Answer(slow)]
    response = await killed_in(own_stack, model, key, agent, steps)
    assert (response.status, response.output[-1].content[0].text) == ("completed", "So it is.")
    assert lines(page) == ["one"]
    assert sum(item.type == "mcp_call" for item in response.output) == 1
    # Three, one that was cut off, and that again; for the slow ones the agent waits in vain once more.
    assert len(model.requests(key)) == 3 + 1 + 1


async def test_a_tool_that_was_too_slow_is_that_again(own_stack, model, key, page):
    slow = Call("linger", {"path": str(page), "line": "slow"})
    steps = [Answer(slow), Answer(write(page, "one"))]
    response = await killed_in(own_stack, model, key, "hurried-using", steps, meanwhile=page.with_suffix(".go"))
    assert (response.status, response.output_text) == ("completed", "So it is.")
    assert lines(page) == ["slow", "one"]
    outputs = [item.output for item in response.output if item.type == "mcp_call"]
    assert outputs == ["took too long", "wrote one"]
    assert len(model.requests(key)) == 2 + 1 + 1


async def test_what_the_other_model_asks_for_is_what_a_person_approves(client, model, key, page):
    model.script(key, Answer(Gate()), Answer(write(page, "one")), Answer(Gate()), Answer("Written."))
    first = await client.responses.create(model="hurried-guarded", input=prompt(key))
    second = await client.responses.create(
        model="hurried-guarded", previous_response_id=first.id, input=[answer(*asked(first))]
    )
    assert second.output_text == "Written.", second.error
    assert lines(page) == ["one"]
    assert len(model.requests(key)) == 4


async def test_a_tool_that_a_person_approved_and_code_around_it_left_does_not_begin_again(
    client, model, key, page
):
    """The next try of it is asked about, and that is no reason to do the first one twice."""
    model.script(key, Answer(Call("linger", {"path": str(page), "line": "slow"})), Answer("Done."))
    first = await client.responses.create(model="hurried-guarding", input=prompt(key))
    response = first
    for approve in (True, False):
        (request,) = asked(response)
        response = await client.responses.create(
            model="hurried-guarding", previous_response_id=response.id, input=[answer(request, approve)]
        )
    page.with_suffix(".go").touch()
    assert response.output_text == "Done.", response.error
    assert lines(page) == ["slow"]


async def test_a_model_that_was_slow_may_answer_when_the_turn_is_retried(stack, client, model, key, page):
    model.script(key, Answer(write(page, "one")), Answer(Gate()), Refuse(400, "no such model"))
    first = await client.responses.create(model="hurried", input=prompt(key))
    assert first.status == "failed"
    model.script(key, *[Answer("Never asked.")] * 3, Answer("Written."))
    retried = await turns(stack, "retry", first.id)
    assert retried.returncode == 0, retried.stderr
    second = await ended(client, retried.stdout.split()[0])
    assert second.output_text == "Written."
    assert lines(page) == ["one"]
    assert len(model.requests(key)) == 4


async def test_answers_come_again_in_the_order_in_which_they_came(own_stack, model, key, page):
    """The agent goes by the first of two, and both are recorded when it runs again."""
    second, last = Gate(), Gate()
    server = own_stack.add_server()
    workers = {worker.pid: worker for worker in (own_stack.add_worker("langgraph") for _ in range(2))}
    model.script(f"{key}-a", Answer(second, "A"))
    model.script(f"{key}-b", Answer("B"))
    model.script(key, Answer("So ", last, FOREVER), Answer("So it is."))
    async with server.openai() as client:
        turn = await client.responses.create(model="hurried-racing", input=prompt(key, str(page)), background=True)
        reading = asyncio.create_task(collect(await client.responses.retrieve(turn.id, stream=True)))

        async def written():
            return lines(page)

        await eventually(written, lambda found: found == ["B"])
        second.open()
        await last.reached()
        running(own_stack, workers, turn.id).kill()
        response = (await reading)[-1].response
    assert (response.status, response.output_text) == ("completed", "So it is.")
    assert lines(page) == ["B"]
    assert [len(model.requests(each)) for each in (f"{key}-a", f"{key}-b", key)] == [1, 1, 2]
