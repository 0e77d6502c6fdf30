"""A turn that waits for another one leaves its place, and has it back before it goes on."""

import asyncio

import pytest

from k8gentai.workers.slots import Slot


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
