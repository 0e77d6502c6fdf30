"""A turn that waits for another one leaves its place, and has it back before it goes on."""

import asyncio

import pytest

from k8gentai.workers.tools.concurrency import Door, Slot, WholeWorker


async def taken(places):
    await places.acquire()
    return Slot(places)


async def test_the_place_is_others_while_it_is_lent():
    places = asyncio.Semaphore(1)
    slot = await taken(places)
    assert places.locked()
    async with slot.lent():
        other = await taken(places)
        other.free()
    assert places.locked()
    slot.free()
    slot.free()
    assert not places.locked()
    await places.acquire()
    assert places.locked()


async def test_a_turn_waits_for_its_place_before_it_goes_on():
    places = asyncio.Semaphore(1)
    slot = await taken(places)
    lent = slot.lent()
    await lent.__aenter__()
    other = await taken(places)
    back = asyncio.create_task(lent.__aexit__(None, None, None))
    await asyncio.sleep(0)
    assert not back.done()
    other.free()
    await back
    assert places.locked()


async def test_two_tools_that_wait_lend_one_place():
    places = asyncio.Semaphore(1)
    slot = await taken(places)
    async with slot.lent():
        async with slot.lent():
            pass
        assert not places.locked()
    assert places.locked()


async def test_a_cancelled_turn_gives_nothing_back_twice():
    places = asyncio.Semaphore(1)
    slot = await taken(places)
    with pytest.raises(asyncio.CancelledError):
        async with slot.lent():
            raise asyncio.CancelledError
    slot.free()
    await places.acquire()
    assert places.locked()


async def test_a_tool_that_failed_has_its_place_back():
    places = asyncio.Semaphore(1)
    slot = await taken(places)
    with pytest.raises(ValueError, match="so it is"):
        async with slot.lent():
            raise ValueError("so it is")
    assert places.locked()


async def idle():
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_tool_that_is_given_up_has_its_turn_take_the_place_back():
    places = asyncio.Semaphore(1)
    slot = await taken(places)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0), slot.lent():
            await asyncio.sleep(60)
    await idle()
    assert places.locked()
    slot.free()
    assert not places.locked()


async def test_a_tool_that_lends_while_the_place_comes_back_lends_it_once():
    places = asyncio.Semaphore(1)
    slot = await taken(places)
    first = slot.lent()
    await first.__aenter__()
    other = await taken(places)
    back = asyncio.create_task(first.__aexit__(None, None, None))
    await idle()
    async with slot.lent():
        await back
        other.free()
        await idle()
        assert not places.locked()
    assert places.locked()
    slot.free()
    await places.acquire()
    assert places.locked()


async def test_what_a_turn_leaves_behind_takes_no_place():
    places = asyncio.Semaphore(1)
    slot = await taken(places)
    async with slot.lent():
        slot.free()
    assert not places.locked()


class Worker:
    """The places and the door of a worker, which is emptied when a test says so."""

    def __init__(self, places=1, alone_seconds=60):
        self.alone_seconds = alone_seconds
        self.places = asyncio.Semaphore(places)
        self.door = Door()
        self.emptying = asyncio.Event()
        self.empty = asyncio.Event()

    def lets_in(self):
        return self.door.is_open

    async def emptied(self):
        self.emptying.set()
        await self.empty.wait()

    async def whole(self):
        await self.places.acquire()
        return WholeWorker(self.places, self.door, self.emptied, self.alone_seconds)


async def test_a_turn_alone_keeps_the_door_closed_but_while_it_lends_its_place():
    worker = Worker()
    worker.empty.set()
    slot = await worker.whole()
    assert not worker.lets_in()
    async with slot.lent():
        assert worker.lets_in()
    assert not worker.lets_in()
    assert worker.emptying.is_set()
    slot.free()
    assert worker.lets_in()
    assert not worker.places.locked()


async def test_a_turn_is_alone_for_a_while_and_then_has_a_place_as_any_other():
    worker = Worker(2, alone_seconds=0)
    worker.empty.set()
    slot = await worker.whole()
    await slot.begin()
    await worker.door.opened()
    worker.emptying.clear()
    async with slot.lent():
        pass
    assert worker.lets_in()
    assert not worker.emptying.is_set()
    slot.free()
    assert worker.lets_in()


async def test_one_whose_while_is_over_before_its_place_is_back_leaves_the_others_running():
    worker = Worker(alone_seconds=0)
    worker.empty.set()
    slot = await worker.whole()
    lent = slot.lent()
    await lent.__aenter__()
    other = await taken(worker.places)
    back = asyncio.create_task(lent.__aexit__(None, None, None))
    await idle()
    assert not worker.lets_in()
    await slot.begin()
    await worker.door.opened()
    worker.emptying.clear()
    other.free()
    await back
    assert not worker.emptying.is_set()
    assert worker.lets_in()
    await left(worker, slot)


async def left(worker, slot):
    """Have the turn end, and see that it leaves the worker as it found it."""
    slot.free()
    await idle()
    assert worker.lets_in()
    assert not worker.places.locked()
    await worker.places.acquire()
    assert worker.places.locked()


async def test_one_cancelled_while_it_waits_for_its_place_leaves_the_door_open():
    worker = Worker()
    slot = await worker.whole()
    lent = slot.lent()
    await lent.__aenter__()
    other = await taken(worker.places)
    back = asyncio.create_task(lent.__aexit__(None, None, None))
    await idle()
    back.cancel()
    with pytest.raises(asyncio.CancelledError):
        await back
    other.free()
    await left(worker, slot)


async def test_one_cancelled_while_others_leave_gives_its_place_back():
    worker = Worker()
    slot = await worker.whole()
    lent = slot.lent()
    await lent.__aenter__()
    back = asyncio.create_task(lent.__aexit__(None, None, None))
    await worker.emptying.wait()
    back.cancel()
    with pytest.raises(asyncio.CancelledError):
        await back
    await left(worker, slot)


async def test_one_whose_tool_is_given_up_is_alone_again():
    worker = Worker(2)
    worker.empty.set()
    slot = await worker.whole()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0), slot.lent():
            await asyncio.sleep(60)
    await idle()
    assert not worker.lets_in()
    assert worker.emptying.is_set()


async def test_of_two_that_are_to_be_alone_one_does_not_open_the_others_door():
    worker = Worker(2)
    worker.empty.set()
    one = await worker.whole()
    lent = one.lent()
    await lent.__aenter__()
    other = await worker.whole()
    await lent.__aexit__(None, None, None)
    other.free()
    assert not worker.lets_in()
    one.free()
    assert worker.lets_in()
