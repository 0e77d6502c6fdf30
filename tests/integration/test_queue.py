"""The queue and the pools: turns wait, workers come and go, RQ's own tool still reads it."""

import asyncio
import json
import os
import re
import signal

import pytest
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from k8gentai.workers.queue import keys
from k8gentai.workers.queue.worker_name import pid_in
from tests.integration.helpers import check_sequence, collect, ended, eventually, prompt
from tests.scripted import FOREVER, Answer, Gate
from tests.support.stack import Stack
from tests.support.valkey import rq


@pytest.fixture(scope="module")
def shared(model, registry, tmp_path_factory):
    """A server and its Redis, without workers: starting one for each test would take most of the time."""
    made = Stack(tmp_path_factory.mktemp("queue"), model.base_url)
    try:
        made.prepare(registry=registry)
        made.add_server()
        yield made
    finally:
        made.stop()


@pytest.fixture
def own_stack(shared):
    """That stack; the workers a test starts end with it."""
    yield shared
    shared.stop_workers()


@pytest.fixture
def server(own_stack):
    return own_stack.server


async def test_turns_wait_for_a_worker_and_are_done_when_one_comes(own_stack, server, model, key):
    model.script(key, *(Answer("Yes.") for _ in range(3)))
    async with server.openai() as client:
        turns = [
            await client.responses.create(model="plain", input=prompt(key), background=True) for _ in range(3)
        ]
        streaming = await client.responses.retrieve(turns[0].id, stream=True)
        assert {(await client.responses.retrieve(turn.id)).status for turn in turns} == {"queued"}
        own_stack.add_worker("langgraph")
        for turn in turns:
            assert (await ended(client, turn.id)).output_text == "Yes."
        check_sequence(await collect(streaming))


async def test_a_queued_turn_that_was_cancelled_never_runs(own_stack, server, model, key):
    model.script(key, Answer("Never."))
    model.script(key + "b", Answer("Next."))
    async with server.openai() as client:
        turn = await client.responses.create(model="plain", input=prompt(key), background=True)
        assert (await client.responses.cancel(turn.id)).status == "cancelled"
        own_stack.add_worker("langgraph")
        following = await client.responses.create(model="plain", input=prompt(key + "b"))
        assert following.output_text == "Next."
        assert (await client.responses.retrieve(turn.id)).status == "cancelled"
    assert model.requests(key) == []


async def test_several_workers_share_the_turns(own_stack, server, model, key):
    """With room for one turn each, three processes run three turns at once, and no fourth."""
    for _ in range(3):
        own_stack.add_worker("langgraph", "--concurrency", "1", ready=False)
    gate = Gate()
    names = [f"{key}n{number}" for number in range(4)]
    for own in names:
        model.script(own, Answer(gate, "Yes."))
    async with server.openai() as client:
        turns = [await client.responses.create(model="plain", input=prompt(own), background=True) for own in names]
        for own in names[:3]:
            await model.request(own)
        statuses = [(await client.responses.retrieve(turn.id)).status for turn in turns]
        assert statuses == ["in_progress"] * 3 + ["queued"]
        with own_stack.redis() as redis:
            workers = {redis.hget(keys.TURN + turn.id, "worker") for turn in turns[:3]}
        assert len(workers) == 3
        gate.open()
        for turn in turns:
            assert (await ended(client, turn.id)).status == "completed"


async def test_sigterm_lets_a_turn_finish(own_stack, server, model, key):
    worker = own_stack.add_worker("langgraph")
    gate = Gate()
    model.script(key, Answer(gate, "Finished."))
    async with server.openai() as client:
        turn = await client.responses.create(model="plain", input=prompt(key), background=True)
        await gate.reached()
        worker.terminate()
        worker.wait_until(lambda: "draining" in worker.output(), "draining")
        gate.open()
        assert (await ended(client, turn.id)).output_text == "Finished."
        assert worker.wait(10) == 0


async def test_sigterm_hands_back_what_it_cannot_finish(own_stack, server, model, key):
    worker = own_stack.add_worker("langgraph", "--grace-seconds", "0.5")
    model.script(key, Answer("Half ", FOREVER), Answer("Whole."))
    async with server.openai() as client:
        stream = await client.responses.create(model="plain", input=prompt(key), stream=True)
        request = await model.request(key)
        worker.terminate()
        assert worker.wait(10) == 0
        await request.wait_closed()
        own_stack.add_worker("langgraph")
        events = await collect(stream)
    check_sequence(events)
    assert events[-1].response.status == "completed"
    assert events[-1].response.output_text == "Whole."


async def test_a_killed_workers_turn_runs_again(own_stack, server, model, key):
    workers = {worker.pid: worker for worker in (own_stack.add_worker("langgraph") for _ in range(2))}
    model.script(key, Answer("Half ", FOREVER), Answer("Whole."))
    async with server.openai() as client:
        turn = await client.responses.create(model="plain", input=prompt(key), background=True)
        await model.request(key)
        with own_stack.redis() as redis:
            name = redis.hget(keys.TURN + turn.id, "worker").decode()
        workers[pid_in(name)].kill()
        again = await model.request(key, 1)
        assert again.number == 1
        assert (await ended(client, turn.id)).output_text == "Whole."


async def test_rq_info_reads_sensibly(own_stack, server, model, key):
    gate = Gate()
    own_stack.add_worker("langgraph", "--concurrency", "1")
    for own in (key, key + "b"):
        model.script(own, Answer(gate, "Yes."))
    async with server.openai() as client:
        turns = [
            await client.responses.create(model="plain", input=prompt(own), background=True)
            for own in (key, key + "b")
        ]
        await gate.reached()

        async def info():
            return await asyncio.to_thread(rq, own_stack.valkey.url, "info", "--raw")

        # The worker says with its next heartbeat that it is busy.
        shown = await eventually(info, lambda text: "busy" in text, 10)
        assert re.search(r"^queue langgraph 1, 1 executing", shown, re.MULTILINE), shown
        assert re.search(r"^worker langgraph-\S+ \(.*\) busy langgraph\b", shown, re.MULTILINE), shown
        gate.open()
        for turn in turns:
            await ended(client, turn.id)
    with own_stack.redis() as redis:
        job = Job.fetch(turns[0].id, connection=redis, serializer=JSONSerializer)
        assert job.get_status() == "finished"
        assert job.description == "turn of plain"


async def test_a_foreign_job_is_never_run(own_stack, server, model, key, tmp_path):
    """Whoever can write to Redis still cannot have a worker call a function."""
    touched = tmp_path / "touched"
    with own_stack.redis() as redis:
        queue = Queue("langgraph", connection=redis, serializer=JSONSerializer)
        queue.enqueue("os.system", f"touch {touched}")
        redis.rpush(keys.RQ_QUEUE + "langgraph", "no-such-job", json.dumps({"function": "os.system"}))
        own_stack.add_worker("langgraph")
        model.script(key, Answer("Next."))
        async with server.openai() as client:
            # Behind them in the queue: when it is done, they have been taken.
            assert (await client.responses.create(model="plain", input=prompt(key))).output_text == "Next."
        assert redis.llen(keys.RQ_QUEUE + "langgraph") == 0
    assert not touched.exists()


async def test_pools_of_two_frameworks_do_not_take_each_others_turns(own_stack, server, model, key):
    own_stack.add_worker("llama-stack")
    model.script(key, Answer("Graph."))
    model.script(key + "b", Answer("Stack."))
    async with server.openai() as client:
        graph = await client.responses.create(model="plain", input=prompt(key), background=True)
        other = await client.responses.create(model="assistant", input=prompt(key + "b"))
        assert other.output_text == "Stack."
        assert (await client.responses.retrieve(graph.id)).status == "queued"
        await client.responses.cancel(graph.id)


async def test_a_worker_ends_on_sigint_too(own_stack, server):
    worker = own_stack.add_worker("langgraph")
    os.kill(worker.pid, signal.SIGINT)
    assert worker.wait(10) == 0
