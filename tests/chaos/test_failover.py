"""Redis fails over to its replica while turns run."""

import asyncio

import pytest

from tests.scripted import ScriptedModel
from tests.support.chaos import Chaos
from tests.support.stack import Stack


@pytest.fixture
def model():
    server = ScriptedModel()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def stack(failover, model, tmp_path):
    made = Stack(tmp_path, model.base_url)
    try:
        made.prepare()
        made.environment["REDIS_URL"] = failover.url
        yield made
    finally:
        made.stop()


async def test_a_failover_loses_and_doubles_nothing(failover, stack):
    chaos = Chaos(stack)
    chaos.start()
    over = False

    async def fail_over():
        nonlocal over
        if over:
            return None
        over = True
        await asyncio.to_thread(failover.kill_in_step)
        await asyncio.to_thread(failover.wait_until_over)
        return "Redis failed over"

    report = await chaos.run(turns=60, faults=(), strikes=[fail_over])
    assert report.findings == []
    assert report.ended == {"completed": 60}
    assert report.strikes == {"Redis failed over": 1}
