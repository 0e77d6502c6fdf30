"""On what terms a turn is accepted: Redis decides, in one step, and writes nothing where it refuses."""

import pytest

from k8gentai.agents.contract.events import TurnCompleted
from k8gentai.workers.queue.admission import ConversationBusyError, QueueFullError
from k8gentai.workers.queue.attempts import Attempts
from k8gentai.workers.queue.turns import TurnDeletedError, Turns
from tests.support.accepting import ask, begun


async def test_the_limit_of_an_agent_holds_up_no_other(connection):
    turns = Turns(connection, queue_limit=3)
    for _ in range(2):
        await ask(turns, "a", agent_limit=2)
    with pytest.raises(QueueFullError, match="agent 'a'"):
        await ask(turns, "a", agent_limit=2)
    await ask(turns, "b", agent_limit=2)
    with pytest.raises(QueueFullError, match="all agents"):
        await ask(turns, "b", agent_limit=2)


async def test_turns_that_make_way_make_room(connection):
    turns = Turns(connection, queue_limit=2)
    for _ in range(2):
        await ask(turns, conversation="one", agent_limit=2)
    with pytest.raises(QueueFullError):
        await ask(turns, conversation="one", agent_limit=2)
    await ask(turns, conversation="one", agent_limit=2, strategy="rollback")


@pytest.mark.parametrize("strategy", ["interrupt", "rollback"])
async def test_nobody_ends_the_turns_of_others(connection, strategy):
    turns = Turns(connection)
    first = await ask(turns, conversation="shared", owner="ada")
    with pytest.raises(ConversationBusyError):
        await ask(turns, conversation="shared", owner="bob", strategy=strategy)
    assert (await turns.get(first)).status == "queued"
    await ask(turns, conversation="shared", owner="ada", strategy=strategy)


@pytest.mark.parametrize("strategy", ["reject", "interrupt", "rollback"])
async def test_a_turn_that_has_ended_is_left_alone_though_it_is_not_settled(connection, strategy):
    turns = Turns(connection)
    attempts = Attempts(connection, "langgraph", "worker")
    first = await ask(turns, conversation="one")
    started = await begun(attempts)
    await attempts.append(started.lease, 2, [TurnCompleted()])
    await ask(turns, conversation="one", strategy=strategy)
    assert (await turns.get(first)).status == "completed"


async def test_rollback_forgets_and_interrupt_does_not(connection):
    turns = Turns(connection)
    first = await ask(turns, conversation="one")
    second = await ask(turns, conversation="one", strategy="rollback")
    with pytest.raises(TurnDeletedError):
        await turns.get(first)
    await ask(turns, conversation="one", strategy="interrupt")
    assert (await turns.get(second)).status == "incomplete"


async def test_an_sdks_next_try_gives_the_turn_of_the_one_before(connection):
    turns = Turns(connection)
    first = await ask(turns, sdk_try=0)
    assert await ask(turns, sdk_try=1) == first
    assert await ask(turns, sdk_try=2) == first


async def test_equal_requests_that_are_no_tries_are_turns_of_their_own(connection):
    turns = Turns(connection)
    made = [await ask(turns, sdk_try=0), await ask(turns, sdk_try=0), await ask(turns), await ask(turns)]
    assert len(set(made)) == 4


async def test_a_try_belongs_to_one_request(connection):
    """Two requests that read the same, each tried twice: the second's try is not the first's."""
    turns = Turns(connection)
    first = await ask(turns, sdk_try=0)
    assert await ask(turns, sdk_try=1) == first
    assert await ask(turns, sdk_try=1) != first


async def test_another_persons_try_is_not_mine(connection):
    turns = Turns(connection)
    mine = await ask(turns, owner="ada", sdk_try=0)
    assert await ask(turns, owner="bob", sdk_try=1) != mine


async def test_a_try_after_a_refusal_is_not_taken_for_one_of_an_earlier_request(connection):
    turns = Turns(connection, queue_limit=1)
    first = await ask(turns, sdk_try=0)
    with pytest.raises(QueueFullError):
        await ask(turns, sdk_try=0)
    await turns.cancel(first)
    assert await ask(turns, sdk_try=1) != first


async def test_a_try_of_a_deleted_turn_is_a_new_turn(connection):
    turns = Turns(connection)
    first = await ask(turns, sdk_try=0)
    await turns.delete(first)
    assert await ask(turns, sdk_try=1) != first


async def test_a_key_of_the_clients_own_decides_alone(connection):
    turns = Turns(connection)
    first = await ask(turns, sdk_try=0, idempotency_key="a")
    assert await ask(turns, sdk_try=1, idempotency_key="b") != first


async def test_keys_of_two_owners_are_two_whatever_their_names_hold(connection):
    turns = Turns(connection)
    first = await ask(turns, owner="ada:b", idempotency_key="c")
    other = await ask(turns, owner="ada", idempotency_key="b:c")
    percent = await ask(turns, owner="ada%3Ab", idempotency_key="c")
    assert len({first, other, percent}) == 3
    assert await ask(turns, owner="ada:b", idempotency_key="c") == first


async def test_what_redis_lost_is_told_from_what_was_deleted(connection):
    turns = Turns(connection)
    deleted, lost = [await turns.get(await ask(turns)) for _ in range(2)]
    await turns.delete(deleted.turn.id)
    assert not await turns.lost(deleted)
    await connection.flushall()
    assert await turns.lost(lost)
    later = await turns.get(await ask(turns))
    assert await turns.lost(lost)
    assert not await turns.lost(later)
