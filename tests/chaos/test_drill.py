"""The promises, kept while everything is killed; and a drill that sees where they are not."""

import sys

import pytest

from k8gentai.stack.drill.faults import PROCESSES
from tests.scripted import ScriptedModel
from tests.support.chaos import LINES, Chaos, entered
from tests.support.stack import Stack

TURNS = 150


@pytest.fixture(scope="module")
def model():
    server = ScriptedModel()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def chaos(model, tmp_path_factory):
    stack = Stack(tmp_path_factory.mktemp("chaos"), model.base_url)
    try:
        stack.prepare()
        made = Chaos(stack)
        made.start()
        yield made
    finally:
        stack.stop()


async def test_nothing_is_lost_doubled_endless_or_repeated(chaos, model):
    report = await chaos.run(turns=TURNS)
    assert report.findings == []
    assert report.clean
    assert report.ended == {"completed": TURNS}
    struck = {"worker killed", "worker stopped", "Redis answered OOM", "link to Redis held"}
    assert {*struck, "Redis killed", "server killed", "turn ended its worker"} <= report.strikes.keys()
    errors = await chaos.poisoned()
    assert errors
    for error in errors.values():
        assert "ended itself with exit code 7" in error
    crashes = report.attempts - report.turns
    assert crashes > 0
    assert report.models_replayed > 0

    # What was really done, as those know who did it. A call that was under way when its worker died is made again.
    assert report.models_made == TURNS * (LINES + 1)
    assert 0 <= len(model.requests()) - report.models_made <= crashes
    book = entered(chaos.book)
    assert len(book) == TURNS
    for lines in book.values():
        numbers = {number for number, _ in lines}
        assert numbers == set(range(1, LINES + 1))
        assert len({key for _, key in lines}) == LINES
    runs = sum(len(lines) for lines in book.values())
    assert 0 <= runs - TURNS * LINES <= crashes


async def test_the_report_tells_of_a_worker_whose_fence_is_broken(chaos):
    """Such a worker, stopped past its lease, goes on with a turn that another has taken up."""
    unfenced = [sys.executable, "-m", "tests.support.unfenced"]
    report = await chaos.run(turns=40, worker=unfenced, faults=PROCESSES, strikes=())
    # Where turns are quick, they may all have ended before the first of these strikes.
    while "worker stopped" not in report.strikes:
        report = await chaos.run(turns=40, worker=unfenced, faults=PROCESSES, strikes=())
    assert not report.clean
    assert report.doubled + report.models_repeated + report.tools_repeated > 0
    assert report.findings
