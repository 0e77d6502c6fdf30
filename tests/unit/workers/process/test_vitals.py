"""A process that code of a turn broke for all others (k8gentai.workers.process.vitals)."""

import asyncio
import concurrent.futures.thread
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from k8gentai.workers.process import vitals as vitals_module
from k8gentai.workers.process.vitals import Vitals
from k8gentai.workers.queue.hand_backs import BrokeOffError


@pytest.fixture
async def gateway():
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    yield server
    server.close()


@pytest.fixture
def replaced():
    return asyncio.Event()


@pytest.fixture
async def vitals(gateway, replaced):
    host, port = gateway.sockets[0].getsockname()
    made = Vitals(host, port, replaced.set)
    yield made
    made.stop()


def _refuse(*_, **__):
    raise ZeroDivisionError


async def _close(gateway, _):
    gateway.close()
    await gateway.wait_closed()


async def _end_pools(_, monkeypatch):
    monkeypatch.setattr(concurrent.futures.thread, "_shutdown", True)


async def _replace_connect(_, monkeypatch):
    monkeypatch.setattr(socket.socket, "connect", _refuse, raising=False)


async def _replace_encoder(_, monkeypatch):
    monkeypatch.setattr(json.JSONEncoder, "iterencode", None)
    # A log is written as JSON, too.
    monkeypatch.setattr(vitals_module, "log", SimpleNamespace(error=_refuse))


async def _empty_json(_, monkeypatch):
    monkeypatch.setattr(json, "loads", lambda text: {})


async def test_a_whole_process_is_left_as_it_is(vitals, replaced):
    await vitals.check()
    assert not replaced.is_set()


async def test_one_whose_threads_are_all_busy_is_whole(vitals, replaced, monkeypatch):
    monkeypatch.setattr(vitals_module, "_SECONDS", 0.5)
    free = threading.Event()
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    busy = asyncio.get_running_loop().run_in_executor(None, free.wait)
    try:
        await vitals.check()
    finally:
        free.set()
        await busy
    assert not replaced.is_set()


async def test_one_that_was_stopped_for_a_while_is_whole(vitals, replaced, monkeypatch):
    """Its first look is late however fast it is now."""
    monkeypatch.setattr(vitals_module, "_SECONDS", 0.5)
    looks = []

    async def reach():
        looks.append(1)
        if len(looks) == 1:
            await asyncio.Event().wait()

    monkeypatch.setattr(vitals, "_reach_gateway", reach)
    await vitals.check()
    assert (len(looks), replaced.is_set()) == (2, False)


@pytest.mark.parametrize(
    ("deed", "named"),
    [
        (_close, "reach its model gateway"),
        (_replace_connect, "reach its model gateway: ZeroDivisionError"),
        (_end_pools, "begin a thread's work"),
        (_replace_encoder, "read its own JSON"),
        (_empty_json, "read its own JSON"),
    ],
)
async def test_a_broken_one_is_replaced_and_its_turns_are_tried_again(
    gateway, vitals, replaced, monkeypatch, deed, named
):
    with monkeypatch.context() as patch:
        await deed(gateway, patch)
        with pytest.raises(BrokeOffError, match=named) as caught:
            await vitals.check()
    assert replaced.is_set()
    assert (caught.value.often, caught.value.end.code) == (3, "worker_error")


async def test_one_that_is_broken_between_turns_is_found(gateway, vitals, replaced):
    await _close(gateway, None)
    vitals.look()
    await asyncio.wait_for(replaced.wait(), 30)
