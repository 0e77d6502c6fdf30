"""A rolling update: servers and workers of the release before run beside those of this one, on the same turns."""

import asyncio

import pytest

from k8gentai.stack.drill.check import check_events, check_stream
from k8gentai.stack.drill.client import Client
from k8gentai.workers.queue import keys
from k8gentai.workers.queue.connection import connect
from k8gentai.workers.queue.turns import Turns
from tests.integration.helpers import ON_ONE_HOST, check_sequence, collect, ended, eventually, prompt
from tests.integration.test_agents_api import begin, said
from tests.scripted import FOREVER, Answer, Call, Gate
from tests.support import previous_release

pytestmark = [
    ON_ONE_HOST,
    pytest.mark.skipif(
        not previous_release.is_there(),
        reason=f"the git history has no {previous_release.COMMIT[:7]}: a shallow clone, or none",
    ),
]


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    """Where the code of the release before is."""
    directory = tmp_path_factory.mktemp("release-before")
    previous_release.unpack(directory)
    return directory


@pytest.fixture
async def turns(own_stack):
    redis = connect(own_stack.valkey.url)
    yield Turns(redis)
    await redis.aclose()


def add_worker(stack, release, which):
    """Start a worker of that release: ``before`` or ``this``."""
    return stack.add_previous_worker("langgraph", release) if which == "before" else stack.add_worker("langgraph")


def add_server(stack, release, which):
    """Start a server of that release."""
    return stack.add_previous_server(release) if which == "before" else stack.add_server()


async def test_turns_of_both_servers_and_both_workers_end_well(own_stack, release, turns, tmp_path):
    servers = own_stack.add_server(), own_stack.add_previous_server(release)
    for which in ("before", "this"):
        add_worker(own_stack, release, which)
    async with servers[0].http() as first, servers[1].http() as second:
        asked = f"Enter 3 lines in {tmp_path / 'book.txt'}."
        clients = [Client(http, "ledger", asked, lambda _: None) for http in (first, second) * 12]
        await asyncio.gather(*(client.run() for client in clients))
        records = [await turns.get(client.turn_id) for client in clients]
        for client in clients:
            found = check_events(await turns.events(client.turn_id))
            read = check_stream(client.events, await client.again())
            assert found.lost + found.doubled + read.lost + read.doubled == []
    assert {record.status for record in records} == {"completed"}
    assert {record.attempt for record in records} == {1}
    assert {record.version for record in records} == {1, 2}
    assert len({record.worker for record in records}) == 2

    async def settled():
        return [(await turns.get(client.turn_id)).settled for client in clients]

    await eventually(settled, all)


@pytest.mark.parametrize(("begins", "goes_on"), [("before", "this"), ("this", "before")])
async def test_a_turn_that_one_began_goes_on_in_the_other_after_kill_9(
    own_stack, release, turns, model, key, tmp_path, begins, goes_on
):
    page, gate = tmp_path / "page.txt", Gate()
    model.script(
        key,
        Answer("Now the line. ", Call("write", {"path": str(page), "line": "1"})),
        Answer("All ", gate, FOREVER),
        Answer("All ", "written."),
    )
    server = own_stack.add_server()
    worker = add_worker(own_stack, release, begins)
    async with server.openai() as client:
        turn = await client.responses.create(model="scribe", input=prompt(key), background=True)
        reading = asyncio.create_task(collect(await client.responses.retrieve(turn.id, stream=True)))
        await gate.reached()
        add_worker(own_stack, release, goes_on)
        worker.kill()
        events = await reading
        check_sequence(events)
        response = events[-1].response
        assert response.status == "completed"
        assert response.completed_at
        assert (await ended(client, turn.id)).output == response.output
    assert len(page.read_text().splitlines()) == 1
    assert len(model.requests(key)) == 3
    record = await turns.get(turn.id)
    assert (record.attempt, record.models_repeated, record.tools_repeated) == (2, 0, 0)


@pytest.mark.parametrize(("accepts", "settles"), [("before", "this"), ("this", "before")])
async def test_a_turn_of_the_classic_api_that_one_server_accepted_is_settled_by_the_other(
    own_stack, release, model, key, accepts, settles
):
    gate = Gate()
    model.script(key, Answer("One ", gate, "two."))
    accepting, settling = (add_server(own_stack, release, which) for which in (accepts, settles))
    own_stack.add_worker("langgraph", stack_url=settling.url)
    async with accepting.http() as http, settling.http() as other:
        session = await begin(http, "plain")
        waiting = asyncio.create_task(http.post(f"{session}/turn", json=said(prompt(key))))
        await gate.reached()
        await asyncio.to_thread(accepting.stop)
        await asyncio.gather(waiting, return_exceptions=True)
        gate.open()

        async def shown():
            return (await other.get(session)).json()["turns"]

        (turn,) = await eventually(shown, lambda found: found and found[0]["completed_at"])
        assert turn["output_message"]["content"] == "One two."
        assert turn["input_messages"][0]["content"] == prompt(key)

        async def unsettled():
            with own_stack.redis() as redis:
                return redis.xlen(keys.FINISHED)

        await eventually(unsettled, lambda count: count == 0)
        assert await shown() == [turn]
