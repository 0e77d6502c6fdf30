"""Names of workers: which process one is of."""

import os

import pytest

from k8gentai.workers.queue import keys
from k8gentai.workers.queue.worker_name import local_prefix, new_name, pid_in


def test_a_name_tells_its_process_and_no_two_are_the_same() -> None:
    names = {new_name("llama-stack") for _ in range(10)}
    assert len(names) == 10
    assert {pid_in(name) for name in names} == {os.getpid()}
    assert all(name.startswith(local_prefix("llama-stack")) for name in names)


def test_a_key_tells_it_too() -> None:
    assert pid_in(f"{keys.RQ_WORKER}ag2-host-7-with-dashes-4711-0a1b2c".encode()) == 4711


@pytest.mark.parametrize("name", ["", "alive", "1f0e", "a-b", "mail-eu-backup", b"\xff"])
def test_names_that_others_gave_tell_none(name: str | bytes) -> None:
    assert pid_in(name) is None
