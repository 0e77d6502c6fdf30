"""A worker that has grown says so once."""

from k8gentai.workers.memory import Memory


def test_a_process_that_has_grown_too_large_is_told_of_once():
    grown = []
    memory = Memory(1, lambda: grown.append(True))
    memory.look()
    memory.look()
    assert grown == [True]


def test_one_without_a_limit_may_grow():
    grown = []
    for most in (None, 1_000_000):
        Memory(most, lambda: grown.append(True)).look()
    assert grown == []
