"""Positions of a conversation's items rise, and are a turn's own for good."""

from k8gentai.workers.queue.positions import Positions
from k8gentai.workers.queue.turns import Turns
from tests.support.accepting import ask


async def test_positions_rise_from_the_time_of_redis(connection) -> None:
    positions = Positions(connection)
    first = await positions.place("c", 3, least=0)
    seconds, _ = await connection.time()
    assert 0 <= seconds - first < 600
    assert await positions.place("c", 2, least=0) == first + 3
    assert await positions.place("c", 1, least=0) == first + 5
    assert abs(await positions.place("other", 1, least=0) - first) < 600


async def test_they_rise_above_what_is_stored(connection) -> None:
    """Redis may have lost its count, or another server have written by a clock that is ahead."""
    positions = Positions(connection)
    far = await positions.place("c", 1, least=0) + 5_000
    assert await positions.place("c", 2, least=far) == far
    assert await positions.place("c", 1, least=0) == far + 2
    await connection.flushall()
    assert await positions.place("c", 1, least=far + 3) == far + 3


async def test_a_turn_has_the_same_ones_each_time(connection) -> None:
    turn = await ask(Turns(connection))
    one, other = Positions(connection), Positions(connection)
    first = await one.place("c", 4, least=0, turn_id=turn)
    await one.place("c", 1, least=0)
    assert await other.place("c", 4, least=0, turn_id=turn) == first


async def test_they_are_forgotten_where_nothing_happens(connection) -> None:
    await Positions(connection, keep_seconds=90).place("c", 1, least=0)
    (key,) = await connection.keys("*position")
    assert 0 < await connection.ttl(key) <= 90


async def test_a_turn_joins_behind_those_that_ended_before_it(connection) -> None:
    """One that interrupts ends all that wait, and they may be settled in any order."""
    turns = Turns(connection)
    first, second = [await ask(turns, conversation="c") for _ in range(2)]
    cancelled = await ask(turns, conversation="c")
    await turns.cancel(cancelled)
    assert await turns.to_join_before((await turns.get(cancelled)).turn) == []
    waiting = await ask(turns, conversation="c", strategy="interrupt")
    assert await turns.to_join_before((await turns.get(second)).turn) == [first]
    await Positions(connection).place("c", 1, least=0, turn_id=first)
    assert await turns.to_join_before((await turns.get(second)).turn) == []
    assert await turns.to_join_before((await turns.get(waiting)).turn) == [second, cancelled]
