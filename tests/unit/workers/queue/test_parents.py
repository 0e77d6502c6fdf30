"""What a worker vouches for, and what it leaves to the agents it asks."""

import time

import pytest

from k8gentai.agents.resources.agent import Limits
from k8gentai.workers.queue.grants import Parent, bounded, signed, verified

PARENT = Parent(turn_id="resp_1", depth=2, tokens=100, deadline=time.time() + 3_000)


def test_what_a_worker_signed_is_believed():
    assert verified(signed(PARENT, b"key"), b"key") == PARENT


@pytest.mark.parametrize(
    "header",
    [
        signed(PARENT, b"other key"),
        signed(PARENT.model_copy(update={"depth": 50}), b"other key").partition(".")[0]
        + "."
        + signed(PARENT, b"key").partition(".")[2],
        "resp_1",
        "",
        ".",
        "é.é",
    ],
)
def test_what_nobody_signed_is_not(header):
    assert verified(header, b"key") is None


def test_a_turn_may_use_what_its_parent_leaves_it():
    own = Limits(seconds=6_000, tokens=1_000, depth=5)
    limits = bounded(own, PARENT, time.time())
    assert (limits.tokens, limits.depth) == (100, 2)
    assert 0 < limits.seconds <= 3_000
    assert bounded(Limits(), PARENT, time.time()).tokens == 100
    assert bounded(own, PARENT.model_copy(update={"tokens": None}), time.time()).tokens == 1_000
    assert bounded(own, PARENT, PARENT.deadline + 1).seconds == 0
    assert bounded(own, None, time.time()) == own


def test_a_turn_may_use_no_more_than_its_own_limits():
    own = Limits(seconds=1, tokens=10, depth=0)
    assert bounded(own, PARENT, time.time()) == own
