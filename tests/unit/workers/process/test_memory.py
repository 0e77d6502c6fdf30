"""A worker that has grown says so once."""

import pytest

from k8gentai.workers.process.memory import Memory, MemoryLimitError


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


def test_one_that_is_too_large_before_it_has_grown_is_told_how_large_it_is():
    with pytest.raises(MemoryLimitError, match=r"--max-memory is 1 MB, and the worker takes \d\d+ MB"):
        Memory(1, lambda: None).check()
    for most in (None, 1_000_000):
        Memory(most, lambda: None).check()
