"""A turn whose worker dies goes on elsewhere: nothing is asked, run or shown twice."""

import asyncio
import os
import signal

import pytest

from k8gentai.workers.queue import keys
from k8gentai.workers.queue.worker_name import pid_in
from tests.integration.helpers import ON_ONE_HOST, check_sequence, collect, ended, eventually, prompt, text_of
from tests.scripted import FOREVER, Answer, Call, Gate

pytestmark = [ON_ONE_HOST, pytest.mark.usefixtures("server")]


@pytest.fixture
async def server(own_stack):
    return own_stack.add_server()


@pytest.fixture
def workers(own_stack, server):
    """Two workers, by process id."""
    return {worker.pid: worker for worker in (own_stack.add_worker("langgraph") for _ in range(2))}


@pytest.fixture
async def client(server):
    async with server.openai() as made:
        yield made


@pytest.fixture
def page(tmp_path):
    """The file the agent's tools write to."""
    return tmp_path / "page.txt"


def running(own_stack, workers, turn_id):
    """The worker that runs a turn."""
    with own_stack.redis() as redis:
        name = redis.hget(keys.TURN + turn_id, "worker").decode()
    return workers[pid_in(name)]


def kept(own_stack, turn_id):
    """All that workers write of a turn."""
    turn = keys.TURN + turn_id
    with own_stack.redis() as redis:
        state = redis.hmget(turn, "status", "attempt", "seq", "worker", "journal_bytes")
        return state, redis.xrange(turn + keys.EVENTS), redis.hgetall(turn + keys.JOURNAL)


def write(page, line):
    return Call("write", {"path": str(page), "line": str(line)})


async def start(client, key):
    turn = await client.responses.create(model="scribe", input=prompt(key), background=True)
    return turn.id, asyncio.create_task(collect(await client.responses.retrieve(turn.id, stream=True)))


async def test_no_recorded_call_is_made_again(own_stack, workers, client, model, key, page):
    """Ten steps, and the worker is killed in the seventh model call."""
    gate = Gate()
    steps = [Answer(f"Now line {number}. ", write(page, number)) for number in range(9)]
    model.script(key, *steps[:6], Answer("Now ", gate, FOREVER), *steps[6:], Answer("All ", "written."))
    turn_id, reading = await start(client, key)
    await gate.reached()
    running(own_stack, workers, turn_id).kill()
    events = await reading
    check_sequence(events)
    response = events[-1].response
    assert response.status == "completed"
    # Six were recorded, one was cut off, four came after.
    assert len(model.requests(key)) == 6 + 1 + 4
    lines = page.read_text().splitlines()
    assert [line.split()[0] for line in lines] == [str(number) for number in range(9)]
    assert len({line.split()[1] for line in lines}) == 9
    calls = [item for item in response.output if item.type == "mcp_call"]
    assert [call.output for call in calls] == [f"wrote {number}" for number in range(9)]
    expected = [f"Now line {number}. " for number in range(9)] + ["All written."]
    assert [item.content[0].text for item in response.output if item.type == "message"] == expected
    assert text_of(events) == "".join(expected)
    # Tokens of the answers that were recorded are counted once.
    assert response.usage.output_tokens == 7 * 10
    assert (await ended(client, turn_id)).output == response.output


async def test_parallel_tools_of_one_step_run_once(own_stack, workers, client, model, key, page):
    calls = [write(page, number) for number in range(3)]
    linger = Call("linger", {"path": str(page), "line": "slow"})
    model.script(key, Answer(*calls, linger), Answer("Done."))
    turn_id, reading = await start(client, key)

    async def lines():
        return page.read_text().splitlines() if page.exists() else []

    await eventually(lines, lambda found: len(found) == 4)

    async def recorded():
        with own_stack.redis() as redis:
            journal = redis.hgetall(keys.TURN + turn_id + keys.JOURNAL)
        return sum(b'"done"' in entry for entry in journal.values())

    await eventually(recorded, lambda done: done == 3)
    running(own_stack, workers, turn_id).kill()
    found = await eventually(lines, lambda found: len(found) == 5)
    page.with_suffix(".go").touch()
    events = await reading
    check_sequence(events)
    assert events[-1].response.output_text == "Done."
    slow = [line for line in found if line.startswith("slow")]
    # What was running when the worker died runs again, and is told by its key that it may have run before.
    assert len(slow) == 2
    assert len(set(slow)) == 1
    assert len(model.requests(key)) == 2


async def test_parallel_model_calls_are_each_answered_with_their_own(own_stack, workers, client, model, key):
    """The second attempt makes the two calls in whatever order; each finds what it was answered."""
    gate = Gate()
    model.script(key, Answer("One. "), Answer("Two. "), Answer("So ", gate, FOREVER), Answer("So it is."))
    turn = await client.responses.create(model="pair", input=prompt(key), background=True)
    reading = asyncio.create_task(collect(await client.responses.retrieve(turn.id, stream=True)))
    await gate.reached()
    running(own_stack, workers, turn.id).kill()
    events = await reading
    check_sequence(events)
    texts = [item.content[0].text for item in events[-1].response.output]
    assert sorted(texts[:2]) == ["One. ", "Two. "]
    assert texts[2:] == ["So it is."]
    asked = model.requests(key)
    assert len(asked) == 4
    # Both attempts showed the third call the same two answers, in the same order.
    assert asked[2].body["messages"] == asked[3].body["messages"]


async def test_a_tool_that_must_not_run_twice_becomes_an_error_the_model_sees(
    own_stack, workers, client, model, key, page
):
    model.script(key, Answer(Call("linger_once", {"path": str(page), "line": "once"})), Answer("I see."))
    turn_id, reading = await start(client, key)

    async def exists():
        return page.exists()

    await eventually(exists, bool)
    running(own_stack, workers, turn_id).kill()
    events = await reading
    assert events[-1].response.output_text == "I see."
    (call,) = [item for item in events[-1].response.output if item.type == "mcp_call"]
    assert "not run again" in call.error
    assert len(page.read_text().splitlines()) == 1
    assert "not run again" in model.requests(key)[1].texts("tool")[0]


async def test_text_that_departs_closes_the_item_and_begins_another(own_stack, workers, client, model, key):
    gate = Gate()
    model.script(key, Answer("One ", "way", gate, FOREVER), Answer("One ", "or the other."))
    turn_id, reading = await start(client, key)
    await gate.reached()

    async def shown():
        return (await client.responses.retrieve(turn_id)).output_text

    await eventually(shown, lambda text: text == "One way")
    running(own_stack, workers, turn_id).kill()
    events = await reading
    check_sequence(events)
    done = [event.item for event in events if event.type == "response.output_item.done"]
    assert [(item.status, item.content[0].text) for item in done] == [
        ("incomplete", "One way"),
        ("completed", "One or the other."),
    ]
    assert events[-1].response.output_text == "One or the other."


async def test_a_worker_that_was_stopped_past_its_lease_can_write_nothing(
    own_stack, workers, client, model, key, page
):
    gate = Gate()
    model.script(
        key, Answer("First. ", gate, write(page, "stale")), Answer("First. ", write(page, "fresh")), Answer("End.")
    )
    turn_id, reading = await start(client, key)
    await gate.reached()
    stopped = running(own_stack, workers, turn_id)
    os.kill(stopped.pid, signal.SIGSTOP)
    events = await reading
    assert events[-1].response.output_text == "First. End."
    written = kept(own_stack, turn_id)
    os.kill(stopped.pid, signal.SIGCONT)
    gate.open()
    stopped.wait_until(lambda: "turn_ended_elsewhere" in stopped.output(), "aware that it lost the turn")
    assert kept(own_stack, turn_id) == written
    assert [line.split()[0] for line in page.read_text().splitlines()] == ["fresh"]


async def test_a_turn_that_kills_its_workers_is_given_up(own_stack, workers, client, model, key):
    model.script(key, *(Answer("Ouch. ", FOREVER) for _ in range(3)))
    turn_id, reading = await start(client, key)
    for number in range(3):
        await model.request(key, number)
        running(own_stack, workers, turn_id).kill()
        if number < 2:
            added = own_stack.add_worker("langgraph")
            workers[added.pid] = added
    if not any(worker.exit_code is None for worker in workers.values()):
        own_stack.add_worker("langgraph")
    events = await reading
    assert events[-1].response.status == "failed"
    assert events[-1].response.error.reason == "worker_lost"
    assert "worker died" in events[-1].response.error.message


async def test_with_one_attempt_a_killed_turn_fails_and_its_history_is_kept(own_stack, client, model, key, page):
    workers = {}
    for _ in range(2):
        worker = own_stack.add_worker("langgraph", "--attempts", "1", "--lease-seconds", "2")
        workers[worker.pid] = worker
    gate = Gate()
    model.script(key, Answer("First. ", write(page, 1)), Answer("Then ", gate, FOREVER), Answer("Never."))
    turn_id, reading = await start(client, key)
    await gate.reached()
    running(own_stack, workers, turn_id).kill()
    response = (await reading)[-1].response
    assert response.status == "failed"
    assert response.error.reason == "worker_lost"
    assert "the turn was tried once and its worker died: its process was killed" in response.error.message
    assert [item.type for item in response.output][:2] == ["message", "mcp_call"]
    state, events, journal = kept(own_stack, turn_id)
    assert int(state[2]) == len(events)
    assert sorted(entry.split()[0] for entry in journal) == [b"model", b"order", b"order", b"tool"]
    assert len(model.requests(key)) == 2


async def test_restarts_of_the_stacks_server_in_mid_answer_are_no_crashes_and_no_failure(
    own_stack, server, workers, client, model, key, page
):
    """The server is where the model's answers come through; the turn goes on when it is back."""
    gates = [Gate() for _ in range(3)]
    cut_off = [Answer("All ", gate, FOREVER) for gate in gates]
    model.script(key, Answer("First. ", write(page, 1)), *cut_off, Answer("All ", "written."))
    turn = await client.responses.create(model="scribe", input=prompt(key), background=True)

    async def shown():
        with own_stack.redis() as redis:
            return redis.xrange(keys.TURN + turn.id + keys.EVENTS)

    await gates[0].reached()
    await eventually(shown, lambda events: "All " in str(events))
    for gate in gates:
        await gate.reached()
        server.process.kill()
        server.start()
    response = await ended(client, turn.id)
    assert response.status == "completed"
    assert response.output_text == "First. All written."
    assert len(model.requests(key)) == 5
    assert len(page.read_text().splitlines()) == 1
    with own_stack.redis() as redis:
        crashes, breaks = redis.hmget(keys.TURN + turn.id, "crashes", "breaks")
    # An answer of which nothing had come yet is asked for again without an attempt's breaking off.
    assert (int(crashes), int(breaks) in (1, 2, 3)) == (0, True)
