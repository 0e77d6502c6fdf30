"""What was recorded comes again in the order in which it came (k8gentai.workers.attempt.recorded_order)."""

import asyncio
import threading
import time

import pytest

from k8gentai.workers.attempt import recorded_order as module
from k8gentai.workers.attempt import spare_time
from k8gentai.workers.attempt.recorded_order import Place, RecordedOrder
from k8gentai.workers.attempt.spare_time import SpareTime


class Given:
    """Asks for entries, and notes the order in which they are given."""

    def __init__(self, *keys: str, around: dict[str, str] | None = None) -> None:
        inside = around or {}
        places = {
            key: Place(number=number, at=number, around=inside.get(key, ""), since_begin=0.1 * number, waited=9)
            for number, key in enumerate(keys)
        }
        self.order = RecordedOrder(places)
        self.keys: list[str] = []

    async def ask(self, key: str) -> None:
        async with self.order.turn_of(key):
            self.keys.append(key)

    def begin(self, *keys: str) -> list["asyncio.Task[None]"]:
        return [asyncio.create_task(self.ask(key)) for key in keys]


async def test_entries_that_are_asked_for_at_once_are_given_as_they_came() -> None:
    given = Given("a", "b", "c")
    await asyncio.gather(*given.begin("c", "b", "a"))
    assert given.keys == ["a", "b", "c"]


async def test_one_is_held_back_for_what_the_agent_did_before_it_came(monkeypatch) -> None:
    monkeypatch.setattr(module, "_MORE_SECONDS", 30)
    given = Given("b", "tool", "a")
    (a, b) = given.begin("a", "b")
    await b
    done, _ = await asyncio.wait({a}, timeout=0.1)
    assert not done
    await asyncio.gather(a, *given.begin("tool"))
    assert given.keys == ["b", "tool", "a"]


async def test_the_agent_may_go_on_from_what_came_before_it_is_given_what_came_later(monkeypatch) -> None:
    """Even if what it did from there was recorded later still."""
    monkeypatch.setattr(module, "_APART_SECONDS", 0.1)
    for asked in (("a", "b"), ("b", "a")):
        given = Given("b", "a")
        asking = dict(zip(asked, given.begin(*asked), strict=True))
        await asking["b"]
        done, _ = await asyncio.wait({asking["a"]}, timeout=0.05)
        assert not done
        await asking["a"]


@pytest.mark.parametrize("seconds", ["_MORE_SECONDS", "_MOST_SECONDS"])
async def test_nothing_is_held_back_for_what_the_agent_does_not_come_to(monkeypatch, seconds) -> None:
    for name in ("_MORE_SECONDS", "_MOST_SECONDS"):
        monkeypatch.setattr(module, name, 0.05 if name == seconds else 30)
    given = Given("gone", "gone too", "b", "c")
    # Once is enough.
    await asyncio.wait_for(asyncio.gather(*given.begin("c", "b")), 10)
    assert given.keys == ["b", "c"]


async def test_what_the_agent_does_not_read_is_waited_for_no_longer_than_that(monkeypatch) -> None:
    monkeypatch.setattr(module, "_MOST_SECONDS", 0.05)
    given = Given("a", "b")

    async def unread() -> None:
        async with given.order.turn_of("a"):
            await asyncio.Event().wait()

    reading = asyncio.create_task(unread())
    await asyncio.wait_for(given.ask("b"), 10)
    reading.cancel()


async def test_a_call_that_the_agent_gives_up_is_waited_for_as_long_as_that_takes(monkeypatch) -> None:
    for name in ("_MORE_SECONDS", "_MOST_SECONDS"):
        monkeypatch.setattr(module, name, 0.01)
    given = Given("given up", "b")
    with given.order.held("given up"):
        (b,) = given.begin("b")
        done, _ = await asyncio.wait({b}, timeout=0.1)
        assert not done
    await asyncio.wait_for(b, 10)


async def test_what_took_longer_is_waited_for_longer(monkeypatch) -> None:
    """The agent works before it asks, as it did the first time."""
    places = {"a": Place(number=1, at=1, since_begin=0.4), "b": Place(number=2, at=2, since_begin=0.5)}
    monkeypatch.setattr(module, "_MORE_SECONDS", 0.0)
    order = RecordedOrder(places)
    given: list[str] = []

    async def ask(key: str) -> None:
        async with order.turn_of(key):
            given.append(key)

    b = asyncio.create_task(ask("b"))
    await asyncio.wait({b}, timeout=0.3)
    await asyncio.gather(ask("a"), b)
    assert given == ["a", "b"]


async def test_nor_for_what_came_inside_a_tool_call_that_is_done(monkeypatch) -> None:
    monkeypatch.setattr(module, "_MORE_SECONDS", 30)
    around = {"model": "tool outer", "tool inner": "tool outer", "deep": "tool inner"}
    given = Given("model", "deep", "tool inner", "tool outer", "c", around=around)
    given.order.skip_inside("tool outer")
    await asyncio.wait_for(given.ask("tool outer"), 10)
    await asyncio.wait_for(given.ask("c"), 10)


async def test_those_that_are_given_out_of_turn_do_not_break_those_that_wait_for_theirs(monkeypatch) -> None:
    monkeypatch.setattr(module, "_MORE_SECONDS", 0.05)
    given = Given("gone", "b", "c")
    await asyncio.wait_for(asyncio.gather(*given.begin("c", "b")), 10)
    assert sorted(given.keys) == ["b", "c"]


async def test_one_that_the_agent_leaves_holds_back_nothing(monkeypatch) -> None:
    monkeypatch.setattr(module, "_MORE_SECONDS", 30)
    given = Given("a", "b", "c")
    (b, c) = given.begin("b", "c")
    await asyncio.sleep(0)
    b.cancel()
    await asyncio.wait({b})
    await asyncio.wait_for(asyncio.gather(c, *given.begin("a")), 10)
    assert given.keys == ["a", "c"]


async def test_what_is_not_recorded_waits_for_nothing() -> None:
    given = Given("a", "b")
    await asyncio.wait_for(given.ask("live"), 10)
    assert given.keys == ["live"]


async def test_a_busy_process_may_take_longer(monkeypatch) -> None:
    """The agent may come to what it did before, once it gets to run."""
    for name in ("_MORE_SECONDS", "_APART_SECONDS"):
        monkeypatch.setattr(module, name, 0.2)
    monkeypatch.setattr(spare_time, "_BUSY_SHARE", 0.0)
    given = Given("a", "b")
    (b,) = given.begin("b")
    await asyncio.wait({b}, timeout=0.1)
    await asyncio.gather(b, *given.begin("a"))
    assert given.keys == ["a", "b"]
    # But not for ever.
    await asyncio.wait_for(Given("gone", "b").ask("b"), 10)


async def test_time_is_spare_in_which_the_process_has_nothing_to_do() -> None:
    spare = SpareTime()
    asyncio.get_running_loop().call_soon(time.sleep, 0.1)
    await spare.tick()
    assert spare.seconds == 0
    async with asyncio.timeout(10):
        while spare.seconds == 0:
            await spare.tick()


async def test_nor_is_time_in_which_another_thread_works() -> None:
    spare, is_done = SpareTime(), threading.Event()

    def work() -> None:
        while not is_done.is_set():
            pass

    working = threading.Thread(target=work)
    working.start()
    try:
        for _ in range(10):
            await spare.tick()
    finally:
        is_done.set()
        working.join()
    # A thread of another process may have had its processor.
    assert spare.seconds < 0.1
