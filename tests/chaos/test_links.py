"""Workers whose link is cut without a word, as by a switch that fails: shorter and longer than the kernel keeps a
connection that does not answer."""

import asyncio
import os
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from k8gentai.stack.local.services import worker_command
from k8gentai.workers.queue import keys
from k8gentai.workers.queue.worker_name import pid_in
from tests.integration.helpers import ended, prompt
from tests.scripted import Answer, Gate, ScriptedModel
from tests.support.namespaces import namespace, needs_namespaces
from tests.support.processes import Process
from tests.support.stack import Stack

SECONDS = (20, 60, 120)
"""How long each worker's link is cut. The kernel gives a silent connection of redis-py's up after 45 s."""
EACH = 2
"""Turns at once of a worker."""
CPU_SECONDS = 15
"""What a worker may use while its link is cut; one that spins uses far more."""


@pytest.fixture
def model():
    server = ScriptedModel()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def stack(model, tmp_path):
    made = Stack(tmp_path, model.base_url)
    made.valkey.bind = "0.0.0.0"
    made.environment["LLAMA_STACK_HOST"] = "0.0.0.0"
    try:
        made.prepare()
        yield made
    finally:
        made.stop()


@needs_namespaces
async def test_workers_come_back_from_links_that_were_cut(stack, model):
    server = stack.add_server()
    with ExitStack() as opened:
        networks = [opened.enter_context(namespace()) for _ in SECONDS]
        workers = [_worker(stack, server, network) for network in networks]
        for worker in workers:
            opened.callback(worker.stop)
            registered = partial(_registered, stack, worker)
            await asyncio.to_thread(worker.wait_until, registered, "ready", 300)
        async with server.openai() as client:
            before = [await _held(client, model, f"before{n}") for n in range(EACH * len(workers))]
            assert await _pids(stack, before) == {worker.pid for worker in workers}
            well = await asyncio.to_thread(stack.add_worker, "langgraph")
            await asyncio.gather(*map(_cut, networks, SECONDS, workers), _taken_up(client, before, well, stack))
            well.stop()
            after = [await _held(client, model, f"after{n}") for n in range(EACH * len(workers))]
            assert await _pids(stack, after) == {worker.pid for worker in workers}
            for held, turn_id in after:
                held.open()
                assert (await ended(client, turn_id)).status == "completed"
        for worker in workers:
            worker.terminate()
            assert await asyncio.to_thread(worker.wait, 60) == 0


def _worker(stack, server, network):
    environment = {
        **stack.environment,
        "REDIS_URL": f"redis://{network.host}:{stack.valkey.port}/0",
        "AMF_STACK_URL": f"http://{network.host}:{server.port}",
    }
    worker = worker_command(sys.executable, "langgraph", "--concurrency", str(EACH), "--grace-seconds", "10")
    command = [*network.prefix, *worker]
    return Process(f"worker-{network.name}", command, stack.directory, environment)


def _registered(stack, worker):
    with stack.redis() as redis:
        return worker.pid in map(pid_in, redis.smembers(keys.RQ_ALL_WORKERS))


async def _held(client, model, key):
    """A turn whose model waits in its first answer. Returns what lets it go on, and the turn's id."""
    held = Gate()
    model.script(key, Answer("Half ", held, "whole."), Answer("Whole."))
    turn = await client.responses.create(model="plain", input=prompt(key), background=True)
    await held.reached()
    return held, turn.id


async def _pids(stack, turns):
    """The processes that run these turns."""
    with stack.redis() as redis:
        names = [redis.hget(keys.TURN + turn_id, "worker").decode() for _, turn_id in turns]
    return {pid_in(name) for name in names}


async def _cut(network, seconds, worker):
    network.cut()
    used = _cpu_seconds(worker.pid)
    await asyncio.sleep(seconds)
    network.heal()
    assert worker.exit_code is None, worker.output()[-3000:]
    assert _cpu_seconds(worker.pid) - used < CPU_SECONDS


async def _taken_up(client, turns, well, stack):
    """The worker whose link is well takes up what the others had."""
    for _, turn_id in turns:
        response = await ended(client, turn_id, 300)
        assert (response.status, response.output_text) == ("completed", "Whole.")
    assert await _pids(stack, turns) == {well.pid}
    for held, _ in turns:
        held.open()


def _cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
