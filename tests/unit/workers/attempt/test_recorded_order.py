"""What was recorded comes again in the order in which it came (k8gentai.workers.attempt.recorded_order)."""

import asyncio
import threading
import time
from typing import Any

import pytest

from k8gentai.workers.attempt import recorded_order as module
from k8gentai.workers.attempt import spare_time
from k8gentai.workers.attempt.journal import Journal
from k8gentai.workers.attempt.recorded_order import Place, RecordedOrder
from k8gentai.workers.attempt.spare_time import SpareTime, pause_in
from k8gentai.workers.queue.attempts import Lease
from k8gentai.workers.queue.stored import ORDER

LONG = 30.0


class Given:
    """Asks for entries, and notes the order in which they are given.

    Args:
        keys: the entries, in the order in which they came, a tenth of a second apart.
        around: in which tool calls.
        waited: for how long the agent had waited for each.
        fields: of each one's place, beside these.
    """

    def __init__(
        self, *keys: str, around: dict[str, str] | None = None, waited: float = LONG, **fields: object
    ) -> None:
        inside = around or {}
        self.places = {
            key: Place(
                number=number,
                at=100 + 0.1 * number,
                around=inside.get(key, ""),
                since_begin=0.1 * number,
                waited=waited,
                **fields,
            )
            for number, key in enumerate(keys)
        }
        self.keys: list[str] = []
        self.begin_order()

    def begin_order(self) -> None:
        """Begin with places that a test has changed."""
        self.order = RecordedOrder(self.places)

    def change(self, key: str, **fields: object) -> None:
        """Change what is known of an entry's place."""
        self.places[key] = self.places[key].model_copy(update=fields)
        self.begin_order()

    async def ask(self, key: str) -> None:
        async with self.order.turn_of(key):
            self.keys.append(key)

    def begin(self, *keys: str) -> list["asyncio.Task[None]"]:
        return [asyncio.create_task(self.ask(key)) for key in keys]


async def is_held(*asking: "asyncio.Task[None]") -> bool:
    """Return whether none of these is given for a while."""
    done, _ = await asyncio.wait(asking, timeout=0.1)
    return not done


async def test_entries_that_are_asked_for_at_once_are_given_as_they_came() -> None:
    given = Given("a", "b", "c")
    await asyncio.gather(*given.begin("c", "b", "a"))
    assert given.keys == ["a", "b", "c"]


async def test_one_is_held_back_for_what_the_agent_did_before_it_came() -> None:
    given = Given("b", "tool", "a")
    (a, b) = given.begin("a", "b")
    await b
    assert await is_held(a)
    await asyncio.gather(a, *given.begin("tool"))
    assert given.keys == ["b", "tool", "a"]


@pytest.mark.parametrize("later", [{"since_begin": 0.05}, {"attempt": 2, "since_begin": 0.05, "waited": 0.02}])
async def test_the_agent_may_go_on_from_what_came_before_it_is_given_what_came_later(monkeypatch, later) -> None:
    """Even if what it did from there was recorded later still; also where the two came in different attempts."""
    monkeypatch.setattr(module, "_APART_SECONDS", LONG)
    for asked in (("a", "b"), ("b", "a")):
        given = Given("b", "a", attempt=1)
        given.change("a", at=200, **later)
        asking = dict(zip(asked, given.begin(*asked), strict=True))
        await asking["b"]
        assert await is_held(asking["a"])
        asking["a"].cancel()


async def test_what_was_asked_for_after_that_came_is_given_at_once(monkeypatch) -> None:
    monkeypatch.setattr(module, "_APART_SECONDS", 0.05)
    monkeypatch.setattr(spare_time, "_BUSY_SHARE", 0.0)
    given = Given("a", "b", waited=0.0)
    given.change("b", at=200, since_begin=100)
    await asyncio.wait_for(asyncio.gather(*given.begin("a", "b")), 1.5)


async def test_nothing_is_held_back_longer_than_the_agent_had_waited_for_it() -> None:
    """For what the agent does not come to: it may have a time-out of its own."""
    given = Given("gone", "gone too", "b", "c", waited=0.1)
    await asyncio.wait_for(asyncio.gather(*given.begin("c", "b")), 10)
    assert given.keys == ["b", "c"]


async def test_nor_for_ever(monkeypatch) -> None:
    monkeypatch.setattr(module, "_MOST_SECONDS", 0.05)
    await asyncio.wait_for(Given("gone", "b").ask("b"), 10)


async def test_the_agent_may_take_longer_before_it_asks_for_the_first() -> None:
    """What it does then, an import or a search, is not recorded."""
    given = Given("a", "b", waited=0.3)
    await asyncio.sleep(0.5)
    (b,) = given.begin("b")
    assert await is_held(b)
    await asyncio.gather(b, *given.begin("a"))
    assert given.keys == ["a", "b"]


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
    monkeypatch.setattr(module, "_MOST_SECONDS", 0.01)
    monkeypatch.setattr(module, "_BUSY_MORE_SECONDS", 0.01)
    given = Given("given up", "b", waited=0.01)
    with given.order.held("given up"):
        (b,) = given.begin("b")
        assert await is_held(b)
    await asyncio.wait_for(b, 10)


async def test_nor_for_what_came_inside_a_tool_call_that_is_done() -> None:
    around = {"model": "tool outer", "tool inner": "tool outer", "deep": "tool inner"}
    given = Given("model", "deep", "tool inner", "tool outer", "c", around=around)
    given.order.skip_inside("tool outer")
    await asyncio.wait_for(given.ask("tool outer"), 2)
    await asyncio.wait_for(given.ask("c"), 2)


async def test_nor_for_a_call_that_is_given_up_again_though_it_was_done() -> None:
    given = Given("model", "tool outer", "c", around={"model": "tool outer"})
    given.order.skip("tool outer")
    await asyncio.wait_for(given.ask("c"), 2)


async def test_those_that_are_given_out_of_turn_do_not_break_those_that_wait_for_theirs() -> None:
    given = Given("gone", "b", "c", waited=0.05)
    await asyncio.wait_for(asyncio.gather(*given.begin("c", "b")), 10)
    assert sorted(given.keys) == ["b", "c"]


async def test_one_that_the_agent_leaves_holds_back_nothing() -> None:
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
    monkeypatch.setattr(spare_time, "_BUSY_SHARE", 0.0)
    given = Given("a", "b", waited=0.05)
    (b,) = given.begin("b")
    assert await is_held(b)
    await asyncio.gather(b, *given.begin("a"))
    assert given.keys == ["a", "b"]
    # But not for ever.
    await asyncio.wait_for(Given("gone", "b", waited=0.05).ask("b"), 10)


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


async def test_nor_time_in_which_the_loop_of_the_agents_is_blocked(monkeypatch) -> None:
    """It may be blocked by what waits for that time: the tick ends."""
    monkeypatch.setattr(spare_time, "_BLOCKED_SECONDS", 0.02)
    loop, may_go_on = asyncio.new_event_loop(), threading.Event()
    agents = threading.Thread(target=loop.run_forever)
    agents.start()
    try:
        spare = SpareTime(pause_in(loop))
        loop.call_soon_threadsafe(may_go_on.wait)
        await asyncio.wait_for(spare.tick(), 10)
        assert spare.seconds == 0
        may_go_on.set()
        async with asyncio.timeout(10):
            while spare.seconds == 0:
                await spare.tick()
    finally:
        may_go_on.set()
        loop.call_soon_threadsafe(loop.stop)
        agents.join()
        loop.close()


def journal_of(given: Given) -> Journal:
    """Return a journal in which these entries have their places."""
    places = {f"{ORDER}{key}": place.model_dump_json() for key, place in given.places.items()}
    attempts: Any = None
    return Journal(attempts, Lease("resp_1", 2), places)


async def test_a_journal_that_answers_a_tool_call_waits_for_nothing_inside_it(monkeypatch) -> None:
    monkeypatch.setattr(module, "_MOST_SECONDS", LONG)
    journal = journal_of(Given("model inner", "tool c1", around={"model inner": "tool c1"}))
    async with asyncio.timeout(10), journal.tool_in_turn("c1"):
        pass


async def test_nor_for_a_tool_call_that_is_given_up_again(monkeypatch) -> None:
    monkeypatch.setattr(module, "_MOST_SECONDS", LONG)
    journal = journal_of(Given("tool c1", "model after"))
    journal.skip("c1")
    async with asyncio.timeout(10), journal.in_turn("model after"):
        pass
