"""A chain of responses: each row holds its own items, whatever is deleted, branches off, or was stored before."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from llama_stack_api.conversations import AddItemsRequest, CreateConversationRequest, DeleteConversationRequest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import create_async_engine

from k8gentai.agents.contract import events as ev
from k8gentai.agents.contract.turn import Item
from k8gentai.providers.errors import ApiError
from k8gentai.providers.host.access import TABLE, acting_as
from k8gentai.workers.queue.record import Owner
from tests.support.providers import Floor, floor


async def accept(served: Floor, said: Any, **body: Any) -> str:
    record, _ = await served.service.acceptor.accept({"model": "math", "input": said, **body})
    return record.turn.id


async def end(served: Floor, turn_id: str, said: str, last: ev.TurnEnd | None = None) -> str:
    answer = ev.MessageDone(message_id="m", text=f"<{said}>")
    await served.turns.append(turn_id, ev.TurnStarted(attempt=1, worker="w"), answer, last or ev.TurnCompleted())
    return turn_id


async def say(
    served: Floor, said: Any, previous: str | None = None, *, last: ev.TurnEnd | None = None, **body: Any
) -> str:
    """A turn that is settled and that Redis has forgotten. Returns its id."""
    turn_id = await accept(served, said, previous_response_id=previous, **body)
    await end(served, turn_id, said, last)
    await served.settle()
    served.turns.records.clear()
    return turn_id


async def chain(served: Floor, count: int, previous: str | None = None) -> list[str]:
    ids = []
    for number in range(count):
        previous = await say(served, f"{number}", previous)
        ids.append(previous)
    return ids


def texts(items: list[Item]) -> list[str]:
    return ["".join(part["text"] for part in item["content"]) for item in items]


async def heard(served: Floor, previous: str, **body: Any) -> list[str]:
    """What the agent of a turn that continues a response sees before its input."""
    turn_id = await accept(served, "next", previous_response_id=previous, **body)
    history = served.turns.records.pop(turn_id).turn.history
    return texts(history)


def turns(*said: str) -> list[str]:
    return [words for each in said for words in (each, f"<{each}>")]


async def rows(served: Floor) -> dict[str, dict[str, Any]]:
    found = await served.store._sql.sql_store.fetch_all(TABLE)
    return {row["id"]: row for row in found.data}


async def size(served: Floor) -> int:
    return len(json.dumps(list((await rows(served)).values())))


@contextmanager
def statements(served: Floor) -> Iterator[list[str]]:
    """What the database is asked meanwhile."""
    asked: list[str] = []
    engine = served.store._sql.sql_store._engine.sync_engine

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        asked.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(engine, "before_cursor_execute", note)


async def test_a_chain_grows_with_its_length(served: Floor) -> None:
    ids = await chain(served, 15)
    half = await size(served)
    ids += await chain(served, 15, ids[-1])
    assert await size(served) < 2.1 * half
    assert await heard(served, ids[-1]) == turns(*[f"{number}" for number in [*range(15), *range(15)]])


async def test_a_turn_asks_the_database_as_often_however_long_its_chain_is(served: Floor) -> None:
    counts = []
    ids = await chain(served, 3)
    for length in (10, 20):
        ids += await chain(served, length, ids[-1])
        with statements(served) as asked:
            turn_id = await accept(served, "next", previous_response_id=ids[-1])
        assert len(asked) == 2
        await end(served, turn_id, "next")
        with statements(served) as asked:
            await served.settle()
        counts.append(len(asked))
        ids.append(turn_id)
        served.turns.records.clear()
    assert counts[0] == counts[1]


async def test_branches_have_their_own_histories(served: Floor) -> None:
    one, two = await chain(served, 2)
    left = await say(served, "left", two)
    right = await say(served, "right", two)
    other = await say(served, "other", one)
    assert await heard(served, await say(served, "more", left)) == turns("0", "1", "left", "more")
    assert await heard(served, await say(served, "more", right)) == turns("0", "1", "right", "more")
    assert await heard(served, other) == turns("0", "other")


async def test_branches_that_end_together_have_their_own_histories(served: Floor) -> None:
    """Each finds the place behind the first one free."""
    (one,) = await chain(served, 1)
    left, right = [await accept(served, side, previous_response_id=one) for side in ("left", "right")]
    for turn_id, side in ((left, "left"), (right, "right")):
        await end(served, turn_id, side)
    link = served.store._chains._taken

    async def free(before: Any) -> bool:
        return False

    served.store._chains._taken = free  # type: ignore[method-assign]
    await served.settle()
    served.turns.records.clear()
    served.store._chains._taken = link  # type: ignore[method-assign]
    assert await heard(served, await say(served, "a", left)) == turns("0", "left", "a")
    assert await heard(served, await say(served, "b", right)) == turns("0", "right", "b")


async def test_a_beginning_that_many_share_costs_each_only_its_own(served: Floor) -> None:
    (root,) = await chain(served, 1)
    ends = [(await chain(served, 2, root))[-1] for _ in range(4)]
    with statements(served) as asked:
        assert await heard(served, ends[-1]) == turns("0", "0", "1")
    assert len(asked) == 3


async def test_a_deleted_response_leaves_its_items_to_those_that_continue_it(
    served: Floor, client: httpx.AsyncClient
) -> None:
    one, two, three = await chain(served, 3)
    assert (await client.delete(f"/v1/responses/{two}")).status_code == 200
    assert (await client.get(f"/v1/responses/{two}")).status_code == 404
    assert (await client.get(f"/v1/responses/{two}/input_items")).status_code == 404
    assert (await client.delete(f"/v1/responses/{two}")).status_code == 404
    listed = (await client.get("/v1/responses")).json()["data"]
    assert [each["id"] for each in listed] == [three, one]
    refused = await client.post("/v1/responses", json={"model": "math", "input": "x", "previous_response_id": two})
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "previous_response_not_found")
    assert await heard(served, three) == turns("0", "1", "2")
    assert await heard(served, await say(served, "3", three)) == turns("0", "1", "2", "3")


async def test_what_nothing_continues_any_more_is_removed(served: Floor) -> None:
    one, two, three = await chain(served, 3)
    branch = await say(served, "branch", two)
    for deleted in (one, two, three):
        await served.service.delete(deleted)
    assert set(await rows(served)) == {one, two, branch}
    assert await heard(served, branch) == turns("0", "1", "branch")
    await served.service.delete(branch)
    assert await rows(served) == {}


async def test_a_response_deleted_while_it_is_continued(served: Floor) -> None:
    one, two = await chain(served, 2)
    running = await accept(served, "running", previous_response_id=two)
    await served.service.delete(two)
    await end(served, running, "running")
    await served.settle()
    served.turns.records.clear()
    assert await heard(served, running) == turns("0", "1", "running")
    await served.service.delete(one)
    assert await heard(served, running) == turns("0", "1", "running")


@pytest.mark.parametrize("moment", ["before the row is written", "after it is gone"])
async def test_a_response_deleted_while_what_continues_it_is_written(
    served: Floor, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    (one,) = await chain(served, 1)
    following = await accept(served, "following", previous_response_id=one)
    await end(served, following, "following")
    write, sql = served.store._write, served.store._sql.sql_store
    remove = sql.delete

    async def delete_and_write(stored: Any, link: Any) -> None:
        monkeypatch.setattr(served.store, "_write", write)
        await served.store.delete(one)
        await write(stored, link)

    async def settle_and_remove(table: str, where: Any) -> None:
        monkeypatch.setattr(sql, "delete", remove)
        await served.settle()
        await remove(table, where)

    if moment == "after it is gone":
        monkeypatch.setattr(sql, "delete", settle_and_remove)
        await served.store.delete(one)
    else:
        monkeypatch.setattr(served.store, "_write", delete_and_write)
        await served.settle()
    served.turns.records.clear()
    assert await heard(served, following) == turns("0", "following")
    assert await served.store.get(one) is None


async def test_a_turn_settled_before_the_one_it_continues(served: Floor) -> None:
    first = await end(served, await accept(served, "0"), "0")
    second = await end(served, await accept(served, "1", previous_response_id=first), "1")
    third = await end(served, await accept(served, "2", previous_response_id=second), "2")
    for turn_id in (third, second, first):
        await served.settler.settle(turn_id)
    assert [row["earlier"] for row in (await rows(served)).values()] == [[], [], []]
    served.turns.records.clear()
    assert await heard(served, third) == turns("0", "1", "2")


async def test_a_response_that_cannot_be_written_holds_up_none_that_continues_it(
    served: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await end(served, await accept(served, "0"), "0")
    second = await end(served, await accept(served, "1", previous_response_id=first), "1")
    write = served.store._write

    async def write_unless_first(stored: Any, link: Any) -> None:
        if stored.response["id"] == first:
            raise OSError("disk full")
        await write(stored, link)

    monkeypatch.setattr(served.store, "_write", write_unless_first)
    await served.settler.settle(second)
    served.turns.records.clear()
    assert await heard(served, second) == turns("0", "1")


async def test_a_settled_turn_is_continued_while_redis_still_has_it(served: Floor) -> None:
    first = await end(served, await accept(served, "0"), "0")
    second = await end(served, await accept(served, "1", previous_response_id=first), "1")
    await served.settle()
    assert served.turns.records[second].turn.history == []
    assert await heard(served, second) == turns("0", "1")


@pytest.mark.parametrize("last", [ev.TurnFailed(code="agent_error", message="no"), ev.TurnCancelled()])
async def test_what_did_not_end_well_is_continued_too(served: Floor, last: ev.TurnEnd) -> None:
    (one,) = await chain(served, 1)
    failed = await say(served, "failed", one, last=last)
    assert await heard(served, failed) == turns("0", "failed")
    assert (await rows(served))[failed]["earlier"] == []


async def test_a_row_of_an_older_version_holds_its_whole_history(served: Floor) -> None:
    ids = await chain(served, 3)
    history = (await served.store.items(ids[1])) or []
    sql = served.store._sql.sql_store
    old = {"history": history, "chain": None, "place": None, "previous": None, "earlier": None, "length": None}
    await sql.update(TABLE, old, where={"id": ids[2]})
    for each in ids[:2]:
        await sql.delete(TABLE, where={"id": each})
    assert await heard(served, ids[2]) == turns("0", "1", "2")
    left = await chain(served, 3, ids[2])
    right = await say(served, "right", ids[2])
    assert await heard(served, left[-1]) == turns("0", "1", "2", "0", "1", "2")
    assert await heard(served, right) == turns("0", "1", "2", "right")
    assert [row["earlier"] for id_, row in (await rows(served)).items() if id_ in left] == [[], [], []]
    await served.service.delete(ids[2])
    assert await heard(served, left[-1]) == turns("0", "1", "2", "0", "1", "2")


async def test_a_table_of_an_older_version_gets_its_columns(tmp_path: Path) -> None:
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'sql.db'}")
    item = {"type": "message", "role": "user", "id": "msg_1", "content": [{"type": "input_text", "text": "old"}]}
    values = {
        "response": json.dumps({"id": "resp_old", "output": [], "conversation": None}),
        "input": json.dumps([item]),
        "history": json.dumps([{**item, "id": "msg_0"}]),
    }
    async with engine.begin() as connection:
        await connection.execute(
            text(
                f"CREATE TABLE {TABLE} (id VARCHAR NOT NULL PRIMARY KEY, created_at INTEGER, model VARCHAR, "
                "response JSON, input JSON, history JSON, access_attributes JSON, owner_principal VARCHAR)"
            )
        )
        await connection.execute(
            text(
                f"INSERT INTO {TABLE} (id, created_at, model, response, input, history, access_attributes, "
                "owner_principal) VALUES ('resp_old', 1, 'math', :response, :input, :history, 'null', '')"
            ),
            values,
        )
    await engine.dispose()
    async with floor(tmp_path) as served:
        await served.store.open()
        assert await heard(served, "resp_old") == ["old", "old"]
        assert await heard(served, await say(served, "new", "resp_old")) == ["old", "old", *turns("new")]
        sql = served.store._sql.sql_store
        async with sql.async_session() as session:
            plan = await session.execute(
                text(f"EXPLAIN QUERY PLAN SELECT * FROM {TABLE} WHERE chain = 'a' AND place < 3")
            )
            assert "USING INDEX amf_responses_chain" in str(plan.fetchall())


async def test_a_chain_with_a_lost_row_is_refused(served: Floor) -> None:
    one, _, three = await chain(served, 3)
    await served.store._sql.sql_store.delete(TABLE, where={"id": one})
    with pytest.raises(ApiError, match=f"'{three}' cannot be continued: '{one}'") as refused:
        await heard(served, three)
    assert (refused.value.status_code, refused.value.code) == (404, "history_not_found")


async def test_who_may_read_a_response_may_continue_it_with_all_its_history(tmp_path: Path) -> None:
    alice = Owner(principal="alice", attributes={"teams": ["red"]})
    bob = Owner(principal="bob", attributes={"teams": ["red", "blue"]})
    carol = Owner(principal="carol", attributes={"teams": ["blue"]})
    async with floor(tmp_path) as served:
        with acting_as(alice):
            one = await say(served, "alice")
        with acting_as(bob):
            two = await say(served, "bob", one)
        with acting_as(carol):
            assert await heard(served, two) == turns("alice", "bob")
            with pytest.raises(ApiError, match="not found"):
                await heard(served, one)
        with acting_as(alice):
            await served.service.delete(one)
        with acting_as(bob):
            assert await heard(served, two) == turns("alice", "bob")
            await served.service.delete(two)
        assert await rows(served) == {}


async def conversation(served: Floor) -> str:
    return str((await served.conversations.create_conversation(CreateConversationRequest())).id)


async def test_turns_of_a_conversation_grow_with_their_number(served: Floor) -> None:
    name = await conversation(served)
    ids = [await say(served, f"{number}", conversation=name) for number in range(15)]
    half = await size(served)
    ids += [await say(served, f"{number}", conversation=name) for number in range(15, 30)]
    assert await size(served) < 2.1 * half
    assert await heard(served, ids[20]) == turns(*[f"{number}" for number in range(21)])


async def test_a_response_of_a_conversation_is_continued_as_it_was(served: Floor) -> None:
    """With what the client added before it, and without what failed; also once the conversation is gone."""
    name = await conversation(served)
    await say(served, "0", conversation=name)
    failed = await say(served, "failed", conversation=name, last=ev.TurnFailed(code="agent_error", message="no"))
    note = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "note"}]}
    request = AddItemsRequest.model_validate({"items": [note]})
    await served.items.append(name, request.items)
    await say(served, "unkept", conversation=name, store=False)
    own = {"role": "user", "content": "own id", "id": "msg_own"}
    last = await say(served, "1", conversation=name)
    chosen = await accept(served, "", conversation=name, input=[own])
    await end(served, chosen, "own id")
    await served.settle()
    served.turns.records.clear()
    following = await say(served, "2", conversation=name)
    request = DeleteConversationRequest(conversation_id=name)
    await served.conversations.openai_delete_conversation(request)
    before = [*turns("0"), "note", *turns("unkept", "1")]
    assert await heard(served, failed) == turns("0", "failed")
    assert await heard(served, last) == before
    assert await heard(served, following) == [*before, *turns("own id", "2")]
    assert await heard(served, await say(served, "beside", last)) == [*before, *turns("beside")]
    assert max(len(row["earlier"]) for row in (await rows(served)).values()) == 3


async def test_items_taken_from_a_conversation_or_added_in_a_turn(served: Floor) -> None:
    """The next turn's history is none that a row holds already, so its own does."""
    name = await conversation(served)
    await say(served, "0", conversation=name)
    running = await accept(served, "1", conversation=name)
    note = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "note"}]}
    await served.items.append(name, AddItemsRequest.model_validate({"items": [note]}).items)
    await end(served, running, "1")
    await served.settle()
    served.turns.records.clear()
    following = await say(served, "2", conversation=name)
    assert await heard(served, running) == turns("0", "1")
    assert await heard(served, following) == [*turns("0"), "note", *turns("1", "2")]


CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "42"}


async def test_an_output_of_no_call_is_refused_before_anything_is_accepted(tmp_path: Path) -> None:
    async with floor(tmp_path) as served:
        before = await say(served, "0")
        for body in ({}, {"previous_response_id": before}):
            with pytest.raises(ApiError) as refused:
                await accept(served, [{"role": "user", "content": "hi"}, OUTPUT, CALL], **body)
            assert (refused.value.status_code, refused.value.param) == (400, "input[1].call_id")
        assert not served.turns.records


async def test_a_calls_output_is_taken_wherever_the_call_is(tmp_path: Path) -> None:
    async with floor(tmp_path) as served:
        before = await say(served, [CALL])
        for given, body in (
            ([CALL, OUTPUT], {}),
            ([OUTPUT], {"previous_response_id": before}),
        ):
            assert await accept(served, given, **body)
