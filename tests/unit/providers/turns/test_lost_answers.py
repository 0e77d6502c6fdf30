"""One error or one lost answer of Redis while a turn is accepted or settled: there is one turn, and it goes on."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from llama_stack_api.conversations import CreateConversationRequest

from k8gentai.agents.contract.events import TurnCompleted
from k8gentai.providers.turns.settler import Settler
from k8gentai.stack.drill.proxy import serving
from k8gentai.workers.queue import keys
from k8gentai.workers.queue.attempts import Attempts
from k8gentai.workers.queue.connection import AWAY, sent_once
from k8gentai.workers.queue.turns import Turns
from tests.support.accepting import ask, begun, finished_in
from tests.support.aimed import Aimed
from tests.support.connected import connected
from tests.support.providers import Floor


@pytest.fixture
async def proxy(valkey: Any) -> AsyncIterator[Aimed]:
    async with serving(Aimed(lambda: asyncio.open_connection("127.0.0.1", valkey.port))) as made:
        yield made


@pytest.mark.parametrize("refusal", ["OOM", None], ids=["refused", "lost"])
@pytest.mark.parametrize("command", ["XAUTOCLAIM", "XREADGROUP", "EVALSHA", "LINDEX"])
async def test_a_fault_while_a_turn_is_settled_does_not_hold_up_its_conversation(
    served: Floor, valkey: Any, proxy: Aimed, command: str, refusal: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left to the time after which what one server was given goes to another."""
    monkeypatch.setattr("k8gentai.workers.queue.finished_turns.RECLAIM_SECONDS", 3_600)
    async with connected(valkey.url) as redis, connected(f"redis://127.0.0.1:{proxy.port}/0") as faulty:
        await redis.flushall()
        turns, attempts = Turns(redis), Attempts(redis, "langgraph", "worker")
        made = await served.conversations.create_conversation(CreateConversationRequest())
        await ask(turns, conversation=made.id)
        following = await ask(turns, conversation=made.id)
        await complete(attempts)

        proxy.command, proxy.refusal = command.encode(), refusal
        all_turns, on_settled = Turns(faulty), [served.agents.sessions.settled]
        settler = Settler(all_turns, finished_in(all_turns), served.store, served.histories, on_settled)
        settler.start()
        while (taken := await attempts.take(1)) is None:
            pass
        await settler.stop()
        assert proxy.command == b""
        assert taken == following


async def complete(attempts: Attempts) -> None:
    """Take the first turn, and end it."""
    started = await begun(attempts)
    await attempts.append(started.lease, 2, [TurnCompleted()])


async def test_a_turn_that_is_settled_again_is_not_lost_by_a_fault_of_what_gives_others(
    valkey: Any, proxy: Aimed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("k8gentai.workers.queue.finished_turns.RECLAIM_SECONDS", 0)
    async with connected(valkey.url) as redis, connected(f"redis://127.0.0.1:{proxy.port}/0") as faulty:
        await redis.flushall()
        turns, attempts = Turns(redis), Attempts(redis, "langgraph", "worker")
        turn_id = await ask(turns)
        await complete(attempts)
        given = finished_in(Turns(faulty))
        finished = given.ids()
        assert await anext(finished) == turn_id
        given.put_off(turn_id)
        proxy.command, proxy.refusal = b"XREADGROUP", "OOM"
        assert await anext(finished) == turn_id


async def test_a_turn_that_is_given_again_is_not_lost_with_the_answer(
    valkey: Any, proxy: Aimed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("k8gentai.workers.queue.finished_turns.RECLAIM_SECONDS", 0)
    async with connected(valkey.url) as redis, connected(f"redis://127.0.0.1:{proxy.port}/0") as faulty:
        await redis.flushall()
        given = finished_in(Turns(faulty))
        await redis.xadd(keys.FINISHED, {"turn": "resp_1"})
        finished = given.ids()
        assert await anext(finished) == "resp_1"
        given.put_off("resp_1")
        proxy.command = b"XAUTOCLAIM"
        with pytest.raises(AWAY):
            await anext(finished)
        monkeypatch.setattr("k8gentai.workers.queue.finished_turns.RECLAIM_SECONDS", 3_600)
        assert await anext(given.ids()) == "resp_1"


async def test_what_is_being_settled_is_not_given_again_and_what_waits_is_not_put_off_by_a_fault(
    valkey: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("k8gentai.workers.queue.finished_turns._PAGE", 2)
    async with connected(valkey.url) as redis:
        await redis.flushall()
        given = finished_in(Turns(redis))
        entries: list[Any] = [await redis.xadd(keys.FINISHED, {"turn": f"resp_{number}"}) for number in range(5)]
        assert await anext(given.ids()) == "resp_0"
        await redis.xreadgroup(keys.SERVERS, "server", {keys.FINISHED: ">"})
        await redis.xdel(keys.FINISHED, entries[3])
        await redis.xclaim(keys.FINISHED, keys.SERVERS, "server", 0, entries, idle=10_000, justid=True)
        finished = given.ids()
        assert [await anext(finished) for _ in range(3)] == ["resp_1", "resp_2", "resp_4"]
        waiting = await redis.xpending_range(keys.FINISHED, keys.SERVERS, "-", "+", 9)
        assert {each["message_id"] for each in waiting} >= {entries[0], entries[4]}
        assert all(int(each["time_since_delivered"]) >= 10_000 for each in waiting)


@pytest.mark.parametrize(
    ("first", "again"),
    [({"idempotency_key": "k"}, {"idempotency_key": "k"}), ({"sdk_try": 0}, {"sdk_try": 1})],
    ids=["key", "sdk"],
)
async def test_a_turn_whose_accepting_was_not_answered_is_found_by_the_next_try(
    valkey: Any, proxy: Aimed, first: dict[str, Any], again: dict[str, Any]
) -> None:
    async with connected(valkey.url) as redis, connected(f"redis://127.0.0.1:{proxy.port}/0") as faulty:
        await redis.flushall()
        turns = Turns(faulty)
        # The script is there from now on.
        other = await ask(turns, owner="other")
        proxy.command = b"EVALSHA"
        with pytest.raises(AWAY), sent_once():
            await ask(turns, **first)
        assert proxy.command == b""
        (accepted,) = {each.turn.id for each in await turns.recent(9)} - {other}
        assert await ask(turns, **again) == accepted
