"""A worker that is lost with its witness, as where its container is taken away: no note says how it ended."""

import asyncio

import psutil

from tests.integration.helpers import ON_ONE_HOST, ended, prompt
from tests.scripted import Answer, Gate

pytestmark = ON_ONE_HOST


def lose(worker):
    """End a worker and its witness."""
    for child in psutil.Process(worker.pid).children(recursive=True):
        child.kill()
    worker.kill()


async def test_a_turn_that_takes_its_workers_witness_with_it_is_convicted(own_stack, model, key):
    """Redis lived all the time, so that nothing else explains it."""
    gate = Gate()
    model.script(key, *(Answer("Half ", gate) for _ in range(3)))
    own_stack.add_server()
    worker = await asyncio.to_thread(own_stack.add_worker, "langgraph")
    async with own_stack.server.openai() as client:
        turn = await client.responses.create(model="plain", input=prompt(key), background=True)
        for number in range(3):
            await model.request(key, number)
            lose(worker)
            worker = await asyncio.to_thread(own_stack.add_worker, "langgraph")
        poison = await ended(client, turn.id)
    gate.open()
    assert (poison.status, poison.error.reason) == ("failed", "worker_lost")
    assert "3 times and each time its worker was lost" in poison.error.message
