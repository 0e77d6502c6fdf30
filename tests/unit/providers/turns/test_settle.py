"""Finished turns reach the store and their conversation, once, as their owner's."""

import asyncio
import gc
import itertools
import weakref
from typing import Any

import pytest
from llama_stack_api.conversations import (
    AddItemsRequest,
    CreateConversationRequest,
    DeleteConversationRequest,
    ListItemsRequest,
)
from redis.exceptions import ConnectionError as RedisConnectionError

from k8gentai.agents.contract import events as ev
from k8gentai.providers.host.access import acting_as
from k8gentai.workers.queue.record import Owner
from tests.support.providers import Floor

ANSWER: list[ev.Event] = [
    ev.TurnStarted(attempt=1, worker="w"),
    ev.ToolCall(call_id="c", name="add", arguments="{}"),
    ev.ToolResult(call_id="c", output="4"),
    ev.MessageDone(message_id="m", text="four"),
    ev.TurnCompleted(),
]
ALICE = Owner(principal="alice", attributes={"teams": ["red"]})


async def conversation(served: Floor, items: list[dict[str, Any]] | None = None) -> str:
    request = CreateConversationRequest.model_validate({"items": items or []})
    return str((await served.conversations.create_conversation(request)).id)


async def create(served: Floor, **body: Any) -> str:
    record, _ = await served.service.acceptor.accept({"model": "math", "input": "2+2", **body})
    return record.turn.id


async def items_of(served: Floor, conversation_id: str) -> list[dict[str, Any]]:
    request = ListItemsRequest(conversation_id=conversation_id, limit=100, order="asc")
    return [item.model_dump() for item in (await served.conversations.list_items(request)).data]


async def test_items_join_the_conversation_once_and_in_order(served: Floor) -> None:
    conv = await conversation(served, [{"type": "message", "role": "user", "content": "before"}])
    first = await create(served, conversation=conv, input=[{"role": "user", "content": f"{n}"} for n in range(30)])
    await served.turns.append(first, *ANSWER)
    await served.settler.settle(first)
    await served.settler.settle(first)
    assert len(await items_of(served, conv)) == 1 + 30 + 2

    # Settled within the same second, so the host's own order mixes the two turns.
    second = await create(served, conversation={"id": conv})
    history = served.turns.records[second].turn.history
    texts = [item["content"][0]["text"] for item in history[1:] if item["type"] == "message"]
    assert texts == [f"{number}" for number in range(30)] + ["four"]
    assert [item["type"] for item in history[-2:]] == ["mcp_call", "message"]
    assert history[-2]["output"] == "4"


@pytest.mark.parametrize("end", [ev.TurnFailed(code="server_error", message="no"), ev.TurnCancelled()])
async def test_turns_that_came_to_nothing_do_not_join(served: Floor, end: ev.Event) -> None:
    conv = await conversation(served)
    turn_id = await create(served, conversation=conv)
    await served.turns.append(turn_id, *ANSWER[:-1], end)
    await served.settle()
    assert await items_of(served, conv) == []
    assert await served.store.get(turn_id) is not None


async def test_an_id_a_client_chose_takes_nothing_from_others(served: Floor) -> None:
    theirs = await conversation(served)
    item = {"type": "message", "role": "user", "content": "theirs", "id": "msg_theirs"}
    await served.conversations.add_items(theirs, AddItemsRequest.model_validate({"items": [item]}))
    mine = await conversation(served)
    turn_id = await create(served, conversation=mine, input=[{**item, "content": "mine"}])
    await served.turns.append(turn_id, *ANSWER)
    await served.settle()
    assert [each["content"] for each in await items_of(served, theirs)] == ["theirs"]
    assert len(await items_of(served, mine)) == 3


async def test_a_deleted_conversation_does_not_keep_a_turn_from_being_settled(served: Floor) -> None:
    conv = await conversation(served)
    turn_id = await create(served, conversation=conv)
    await served.conversations.openai_delete_conversation(DeleteConversationRequest(conversation_id=conv))
    await served.turns.append(turn_id, *ANSWER)
    await served.settle()
    assert served.turns.records[turn_id].settled
    following = served.turns.records[turn_id]
    assert await served.settler._next_history(following) == []


async def test_what_was_deleted_while_it_was_written_stays_deleted(served: Floor) -> None:
    turn_id = await create(served)
    await served.turns.append(turn_id, *ANSWER)
    record = await served.turns.get(turn_id)
    await served.turns.delete(turn_id)
    await served.settler._keep(record)
    assert await served.store.get(turn_id) is None


async def test_one_that_is_cancelled_while_it_is_settled_again_is_written_as_cancelled(
    served: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A turn that waited for a person is given out twice: its end must not be lost on the second time."""
    turn_id = await create(served)
    await served.turns.append(turn_id, *ANSWER[:-1], ev.TurnSuspended(expires_at=2e9))
    await served.settler.settle(turn_id)
    get = served.turns.get

    async def get_and_cancel(turn_id: str) -> Any:
        record = (await get(turn_id)).model_copy(deep=True)
        monkeypatch.setattr(served.turns, "get", get)
        served.turns.records[turn_id].settled = False
        await served.turns.append(turn_id, ev.TurnCancelled())
        return record

    monkeypatch.setattr(served.turns, "get", get_and_cancel)
    await served.settler.settle(turn_id)
    stored = await served.store.get(turn_id)
    assert stored is not None
    assert stored.response["status"] == "cancelled"


async def test_a_long_chain_that_nothing_was_settled_of_is_settled_from_its_beginning(
    served: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the database was away for long: each turn is read and written about once, however many there are."""
    first = await create(served)
    await served.turns.append(first, *ANSWER)
    chain = [f"{first[:-4]}{number:04x}" for number in range(1_100)]
    for turn_id, before in zip(chain, [None, *chain], strict=False):
        record = served.turns.records[first].model_copy(deep=True, update={"previous_response_id": before})
        record.turn.id = turn_id
        served.turns.records[turn_id], served.turns.kept[turn_id] = record, served.turns.kept[first]
    written: list[str] = []
    read: list[str] = []
    get = served.turns.get

    async def put(stored: Any) -> None:
        written.append(stored.response["id"])

    async def has(turn_id: str) -> bool:
        await asyncio.sleep(0)  # The others go on meanwhile.
        return turn_id in written

    async def getting(turn_id: str) -> Any:
        read.append(turn_id)
        return await get(turn_id)

    monkeypatch.setattr(served.store, "put", put)
    monkeypatch.setattr(served.store, "has", has)
    monkeypatch.setattr(served.turns, "get", getting)
    await asyncio.gather(*map(served.settler.settle, reversed(chain[-8:])))
    assert list(dict.fromkeys(written)) == chain
    assert len(written) <= len(chain) + 8
    assert len(read) < 4 * len(chain)


async def test_a_turn_is_written_after_those_that_another_failed_to_write(
    served: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    await served.store.open()
    first = await create(served)
    await served.turns.append(first, *ANSWER)
    chain = [first, *(f"{first[:-4]}{number:04x}" for number in range(4))]
    for before, turn_id in itertools.pairwise(chain):
        record = served.turns.records[first].model_copy(deep=True, update={"previous_response_id": before})
        record.turn.id = turn_id
        served.turns.records[turn_id], served.turns.kept[turn_id] = record, served.turns.kept[first]
    put, may_fail, away = served.store.put, asyncio.Event(), [RedisConnectionError("away")]
    written: list[str] = []
    writing = asyncio.Event()

    async def fail_once(stored: Any) -> None:
        if away:
            writing.set()
            await may_fail.wait()
            raise away.pop()
        await put(stored)
        written.append(stored.response["id"])

    waiting, wait = asyncio.Event(), served.settler._room.release

    def note_waiting() -> None:
        waiting.set()
        wait()

    monkeypatch.setattr(served.store, "put", fail_once)
    monkeypatch.setattr(served.settler._room, "release", note_waiting)
    failing = asyncio.create_task(served.settler.settle(chain[2]))
    await writing.wait()
    following = asyncio.create_task(served.settler.settle(chain[4]))
    await waiting.wait()
    may_fail.set()
    with pytest.raises(RedisConnectionError):
        await failing
    await following
    assert written == chain


async def test_turns_that_wait_for_their_chain_hold_up_no_others(
    served: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    await served.store.open()
    first, other = await create(served), await create(served)
    for turn_id in (first, other):
        await served.turns.append(turn_id, *ANSWER)
        served.turns.ended.get_nowait()
    chain = [first, *(f"{first[:-4]}{number:04x}" for number in range(20))]
    for before, turn_id in itertools.pairwise(chain):
        record = served.turns.records[first].model_copy(deep=True, update={"previous_response_id": before})
        record.turn.id = turn_id
        served.turns.records[turn_id], served.turns.kept[turn_id] = record, served.turns.kept[first]
    put, may_be_written, written = served.store.put, asyncio.Event(), dict.fromkeys([*chain, other], 0)

    async def put_the_first_later(stored: Any) -> None:
        turn_id = stored.response["id"]
        if turn_id == first:
            await may_be_written.wait()
        await put(stored)
        written[turn_id] += 1

    settled, all_settled = served.turns.settled, {turn_id: asyncio.Event() for turn_id in (*chain, other)}

    async def note(turn_id: str, *more: Any) -> bool:
        done: bool = await settled(turn_id, *more)
        all_settled[turn_id].set()
        return done

    get, read = served.turns.get, list[weakref.ref[Any]]()

    async def get_anew(turn_id: str) -> Any:
        record = (await get(turn_id)).model_copy()
        read.append(weakref.ref(record))
        return record

    monkeypatch.setattr(served.turns, "get", get_anew)
    monkeypatch.setattr(served.store, "put", put_the_first_later)
    monkeypatch.setattr(served.turns, "settled", note)
    for turn_id in (*chain[1:], other, first):
        served.turns.ended.put_nowait(turn_id)
    served.settler.start()
    await asyncio.wait_for(all_settled[other].wait(), 30)
    assert not any(all_settled[turn_id].is_set() for turn_id in chain)
    gc.collect()
    assert len([record for record in read if record() is not None]) < 8
    may_be_written.set()
    for event in all_settled.values():
        await asyncio.wait_for(event.wait(), 30)
    await served.settler.stop()
    assert served.settler._room._value == 8
    assert served.settler._catching_up == {}
    with acting_as(served.turns.records[first].owner):
        for turn_id in chain:
            assert await served.store.get(turn_id) is not None


async def test_the_row_belongs_to_who_asked(served: Floor) -> None:
    with acting_as(ALICE):
        turn_id = await create(served)
    assert served.turns.records[turn_id].owner == ALICE
    await served.turns.append(turn_id, *ANSWER)
    # Settling runs outside any request.
    await served.settle()
    with acting_as(ALICE):
        assert await served.store.get(turn_id) is not None
    with acting_as(Owner(principal="bob", attributes={"teams": ["blue"]})):
        assert await served.store.get(turn_id) is None
        assert not await served.store.delete(turn_id)
        assert await served.store.page(after=None, limit=5, model=None, descending=True) == []


async def test_it_goes_on_when_redis_comes_back_and_past_what_cannot_be_settled(
    served: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    sick, well = await create(served), await create(served)
    put = served.store.put

    async def put_unless_sick(stored: Any) -> None:
        if stored.response["id"] == sick:
            raise OSError("disk full")
        await put(stored)

    monkeypatch.setattr(served.store, "put", put_unless_sick)
    served.turns.away = RedisConnectionError("away")
    await_settled = asyncio.Event()
    settled = served.turns.settled

    async def tell(turn_id: str, load_history: Any, written: Any) -> bool:
        done: bool = await settled(turn_id, load_history, written)
        await_settled.set()
        return done

    monkeypatch.setattr(served.turns, "settled", tell)
    served.settler.start()
    served.settler.start()
    await served.turns.append(sick, *ANSWER)
    await asyncio.sleep(0.15)
    served.turns.away = None
    served.turns.ended.put_nowait(sick)
    await served.turns.append(well, *ANSWER)
    await asyncio.wait_for(await_settled.wait(), 5)
    assert served.turns.records[well].settled
    assert not served.turns.records[sick].settled
    await served.settler.stop()


async def test_one_that_redis_fails_does_not_hold_up_the_others_and_is_settled_when_it_is_back(
    served: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    sick, well = await create(served), await create(served)
    put = served.store.put
    away = [RedisConnectionError("away")]

    async def put_if_back(stored: Any) -> None:
        if away and stored.response["id"] == sick:
            raise away[0]
        await put(stored)

    done: asyncio.Queue[str] = asyncio.Queue()
    settled = served.turns.settled

    async def tell(turn_id: str, load_history: Any, written: Any) -> bool:
        done.put_nowait(turn_id)
        return bool(await settled(turn_id, load_history, written))

    monkeypatch.setattr(served.store, "put", put_if_back)
    monkeypatch.setattr(served.turns, "settled", tell)
    served.settler.start()
    for turn_id in (sick, well):
        await served.turns.append(turn_id, *ANSWER)
    assert await done.get() == well
    away.clear()
    assert await done.get() == sick
    await served.settler.stop()


async def test_turns_that_are_interrupted_at_once_join_in_the_order_they_came(served: Floor) -> None:
    conv = await conversation(served)
    texts = ("One.", "Two.", "Failed.", "Three.")
    turns = [await create(served, conversation=conv, input=text) for text in texts]
    for turn, text in zip(turns, texts, strict=True):
        failed = ev.TurnFailed(code="agent_error", message="no")
        await served.turns.append(turn, failed if text == "Failed." else ev.TurnIncomplete(reason="interrupted"))
    for turn in reversed(turns):
        await served.settler.settle(turn)
    found = [item["content"][0]["text"] for item in await items_of(served, conv)]
    assert found == ["One.", "Two.", "Three."]


@pytest.mark.parametrize("error", [RuntimeError("it cannot be written"), RedisConnectionError("away")])
async def test_only_what_is_away_holds_up_the_turns_behind_one_that_cannot_be_joined(
    served: Floor, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    conv = await conversation(served)
    sick, well = [await create(served, conversation=conv, input=text) for text in ("Sick.", "Well.")]
    for turn in (sick, well):
        await served.turns.append(turn, ev.TurnIncomplete(reason="interrupted"))
    events = served.turns.events

    async def fails(turn_id: str, after: int = 0) -> Any:
        if turn_id == sick:
            raise error
        return await events(turn_id, after)

    monkeypatch.setattr(served.turns, "events", fails)
    if isinstance(error, RuntimeError):
        await served.settler.settle(well)
        assert [item["content"][0]["text"] for item in await items_of(served, conv)] == ["Well."]
    else:
        with pytest.raises(RedisConnectionError):
            await served.settler.settle(well)
        assert await items_of(served, conv) == []
