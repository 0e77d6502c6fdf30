"""A conversation lists its items as they happened, to clients and agents, whatever the clocks of servers say."""

import asyncio
import random
import time
from typing import Any

import httpx
import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from sqlalchemy import text

from k8gentai.agents.contract import events as ev
from k8gentai.providers import host
from k8gentai.providers.ids import item_id, new_turn_id
from k8gentai.providers.turns.conversation_items import in_order
from tests.support.providers import Floor
from tests.support.responses_api import ANSWER, ask


def said(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


async def begun(client: httpx.AsyncClient, *items: dict[str, Any]) -> str:
    """A new conversation."""
    made = await client.post("/v1/conversations", json={"items": items, "metadata": {"topic": "t"}})
    assert (made.status_code, made.json()["metadata"]) == (200, {"topic": "t"})
    return str(made.json()["id"])


async def add(client: httpx.AsyncClient, conversation: str, *texts: str) -> dict[str, Any]:
    items = [said(text) for text in texts]
    added = await client.post(f"/v1/conversations/{conversation}/items", json={"items": items})
    assert added.status_code == 200, added.text
    return added.json()


async def listed(client: httpx.AsyncClient, conversation: str, **query: Any) -> dict[str, Any]:
    answer = await client.get(f"/v1/conversations/{conversation}/items", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def shown(item: dict[str, Any]) -> str:
    return item["content"][0]["text"] if item["type"] == "message" else item["type"]


async def texts(client: httpx.AsyncClient, conversation: str) -> list[str]:
    page = await listed(client, conversation, order="asc", limit=100)
    return [shown(item) for item in page["data"]]


def answer(text: str, calls: int = 0) -> list[ev.Event]:
    """What a turn with tool calls does."""
    made: list[ev.Event] = []
    for number in range(calls):
        made += [
            ev.ToolCall(call_id=f"c{number}", name="add", arguments="{}"),
            ev.ToolResult(call_id=f"c{number}", output="4"),
        ]
    return [ANSWER[0], *made, ev.MessageDone(message_id="m", text=text), ev.TurnCompleted()]


@pytest.fixture(params=[3600.0, -3600.0, 0.0], ids=["ahead", "behind", "alike"])
def skewed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes the next server's clock another one."""
    real = time.time_ns
    host_clock = __import__("sys").modules[f"{host.NAME}.core.conversations.conversations"].time

    def skew(on: bool) -> None:
        offset = request.param if on else 0.0
        monkeypatch.setattr(time, "time_ns", lambda: real() + int(offset * 1e9))
        monkeypatch.setattr(host_clock, "time", lambda: real() / 1e9 + offset)

    yield skew
    monkeypatch.undo()


async def test_items_stand_as_they_happened(client: httpx.AsyncClient, served: Floor) -> None:
    """A client's item after an answer with many items comes after it."""
    place = await begun(client, said("first"), said("second"))
    await ask(client, served, *answer("a0", calls=6), conversation=place, input="u0")
    await add(client, place, "between", "and between")
    await ask(client, served, *answer("a1"), conversation=place, input="u1")
    wanted = ["first", "second", "u0", *["mcp_call"] * 6, "a0", "between", "and between", "u1", "a1"]
    assert await texts(client, place) == wanted
    agents = await served.histories._of_conversation(place)
    assert [shown(item) for item in agents] == wanted
    newest = await listed(client, place, limit=100)
    assert [shown(item) for item in newest["data"]] == wanted[::-1]


async def test_clocks_of_servers_change_nothing(client: httpx.AsyncClient, served: Floor, skewed: Any) -> None:
    place = await begun(client)
    wanted: list[str] = []
    for number, off in enumerate([True, False, True, False]):
        skewed(off)
        await ask(client, served, *answer(f"a{number}", 2), conversation=place, input=f"u{number}")
        await add(client, place, f"c{number}")
        wanted += [f"u{number}", "mcp_call", "mcp_call", f"a{number}", f"c{number}"]
        assert await texts(client, place) == wanted
    agents = await served.histories._of_conversation(place)
    assert [shown(item) for item in agents] == wanted


async def test_a_turn_joins_once_however_often_and_late(client: httpx.AsyncClient, served: Floor) -> None:
    place = await begun(client)
    turn = await ask(client, served, *answer("a0", 25), conversation=place, input="u0")
    await add(client, place, "later")
    record = served.turns.records[turn["id"]]
    await asyncio.gather(*(served.histories.join(record, turn) for _ in range(4)))
    await served.settle()
    assert await texts(client, place) == ["u0", *["mcp_call"] * 25, "a0", "later"]


async def test_servers_that_join_the_same_turn_at_once(client: httpx.AsyncClient, served: Floor) -> None:
    place = await begun(client)
    other = await begun(client)
    turn = await ask(client, served, *answer("a0", 3), conversation=other, input="u0")
    record = served.turns.records[turn["id"]].model_copy(deep=True)
    record.turn.conversation = place
    record.turn.id = new_turn_id()
    response = {**turn, "output": [said("x") | {"id": item_id(record.turn.id, 0x8000, "message")}]}
    await asyncio.gather(*(served.histories.join(record, response) for _ in range(8)))
    assert await texts(client, place) == ["u0", "x"]


async def test_pages(client: httpx.AsyncClient, served: Floor) -> None:
    place = await begun(client)
    for start in range(0, 50, 10):
        await add(client, place, *(f"{number}" for number in range(start, start + 10)))
    for order in ("asc", "desc"):
        found: list[str] = []
        after = None
        while True:
            query = {"order": order, "limit": 7, **({"after": after} if after else {})}
            page = await listed(client, place, **query)
            assert (page["object"], page["first_id"]) == ("list", page["data"][0]["id"])
            assert page["last_id"] == page["data"][-1]["id"]
            found += [shown(item) for item in page["data"]]
            if not page["has_more"]:
                break
            after = page["last_id"]
        numbers = [str(number) for number in range(50)]
        assert found == (numbers if order == "asc" else numbers[::-1])
    assert len((await listed(client, place))["data"]) == 20
    assert (await listed(client, await begun(client)))["data"] == []


async def test_what_is_asked_wrongly(client: httpx.AsyncClient) -> None:
    place = await begun(client)
    url = f"/v1/conversations/{place}/items"
    unknown = await client.get(url, params={"after": "msg_nobody"})
    assert (unknown.status_code, unknown.json()["error"]["param"]) == (404, "after")
    assert (await client.get(url, params={"limit": 0})).status_code == 400
    assert (await client.get(url, params={"order": "up"})).json()["error"]["param"] == "order"
    for unknown_id, status, code in (
        (f"conv_{'0' * 48}", 404, "conversation_not_found"),
        ("x", 400, "invalid_value"),
    ):
        refused = await client.get(f"/v1/conversations/{unknown_id}/items")
        error = refused.json()["error"]
        assert (refused.status_code, error["code"], error["param"]) == (status, code, "conversation_id")
    assert (await client.post(url, json={"items": [{"type": "odd"}]})).status_code == 400
    assert (await client.post(url, json={"items": [said("x")] * 21})).status_code == 400
    gone = f"/v1/conversations/conv_{'0' * 48}/items"
    assert (await client.post(gone, json={"items": [said("x")]})).status_code == 404


@pytest.mark.parametrize(
    ("body", "param"), [({"items": 5}, "items"), ({"items": {}}, "items"), ({"items": "x"}, "items"), ([], None)]
)
async def test_a_body_of_the_wrong_type_is_refused_by_name(
    client: httpx.AsyncClient, body: Any, param: str | None
) -> None:
    for url in ("/v1/conversations", f"/v1/conversations/{await begun(client)}/items"):
        refused = await client.post(url, json=body)
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, param), url


async def test_an_id_that_a_client_chose_takes_nothing(client: httpx.AsyncClient) -> None:
    theirs, mine = await begun(client), await begun(client)
    (item,) = (await add(client, theirs, "theirs"))["data"]
    body = {"items": [{**said("mine"), "id": item["id"]}]}
    assert (await client.post(f"/v1/conversations/{mine}/items", json=body)).status_code == 200
    assert (await texts(client, theirs), await texts(client, mine)) == (["theirs"], ["mine"])
    again = await client.post(f"/v1/conversations/{theirs}/items", json=body)
    assert (again.status_code, again.json()["error"]["message"][-29:]) == (400, "Item already in conversation.")


async def test_a_conversation_whose_items_cannot_be_added_is_not_made(
    client: httpx.AsyncClient, served: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any, **__: Any) -> int:
        raise RedisConnectionError("away")

    monkeypatch.setattr(served.items._positions, "place", away)
    made = await client.post("/v1/conversations", json={"items": [said("x")]})
    assert (made.status_code, made.headers["retry-after"].isdecimal()) == (503, True)
    async with served.conversations.sql_store.sql_store.async_session() as session:
        assert (await session.execute(text("SELECT count(*) FROM openai_conversations"))).scalar() == 0


def test_rows_that_the_host_wrote_stand_turn_by_turn() -> None:
    """It dated a turn's n-th item n seconds ahead, so those of turns that follow closely overlap."""
    first, second, third = sorted(new_turn_id() for _ in range(3))

    def row(id_: str, position: int | None) -> dict[str, Any]:
        return {"id": id_, host.POSITION: position}

    rows = [
        row("msg_before", 99),
        *(row(item_id(first, index, "message"), 100 + index) for index in range(4)),
        row("msg_client", 101),
        *(row(item_id(second, index, "message"), 101 + index) for index in range(2)),
        row(item_id(third, 0, "message"), 101),
    ]
    wanted = [
        "msg_before",
        *(item_id(first, index, "message") for index in range(4)),
        "msg_client",
        *(item_id(second, index, "message") for index in range(2)),
        item_id(third, 0, "message"),
    ]
    assert [each["id"] for each in in_order(rows[::-1])] == wanted


async def test_a_conversation_of_the_host_goes_on(client: httpx.AsyncClient, served: Floor) -> None:
    """One stored before there were positions."""
    request = host.CreateConversationRequest.model_validate({"items": []})
    place = (await served.conversations.create_conversation(request)).id
    old = host.AddItemsRequest.model_validate({"items": [said(f"old {number}") for number in range(9)]})
    await served.conversations.add_items(place, old)
    await ask(client, served, *answer("a0"), conversation=place, input="u0")
    assert await texts(client, place) == [*(f"old {number}" for number in range(9)), "u0", "a0"]


async def pages(client: httpx.AsyncClient, conversation: str, limit: int, order: str) -> list[str]:
    """The ids of all items, page by page, oldest first."""
    found: list[str] = []
    query: dict[str, Any] = {"limit": limit, "order": order}
    while True:
        page = await listed(client, conversation, **query)
        assert query.get("after") not in [item["id"] for item in page["data"]]
        found += [item["id"] for item in page["data"]]
        if not page["has_more"]:
            return found if order == "asc" else found[::-1]
        query["after"] = page["last_id"]


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("seed", range(3))
async def test_pages_of_rows_that_overlap(client: httpx.AsyncClient, served: Floor, order: str, seed: int) -> None:
    """Rows that the host dated: of turns that follow closely and of items that came in the same second."""
    place = await begun(client)
    draw = random.Random(seed)
    rows: list[dict[str, Any]] = []
    for number in range(8):
        first = 1_000 + draw.randrange(8 * number, 8 * number + 20)
        turn = new_turn_id()
        made = [said("x") | {"id": item_id(turn, index, "message")} for index in range(draw.randrange(1, 24))]
        rows += host.item_rows(place, made, first)
        rows += host.item_rows(place, [said("x") | {"id": f"msg_{number}"}], first)
    await served.conversations.sql_store.insert(host.ITEMS, rows)
    wanted = [row["id"] for row in in_order(rows)]
    for limit in (3, 50):
        assert await pages(client, place, limit, order) == wanted


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_a_page_reads_what_it_shows_however_long_the_conversation_is(
    client: httpx.AsyncClient, served: Floor, rows_read: list[int], order: str
) -> None:
    place = await begun(client)
    counts = []
    for _ in range(2):
        for _ in range(15):
            await add(client, place, *(f"{number}" for number in range(20)))
        rows_read.clear()
        assert await pages(client, place, 20, order)
        counts.append(sum(rows_read))
    assert counts[1] < 2.2 * counts[0]
    assert counts[0] < 6 * 300


async def test_the_rows_of_a_conversation_are_found_by_an_index(served: Floor) -> None:
    await served.items.open()
    async with served.conversations.sql_store.sql_store.async_session() as session:
        where = f"conversation_id = 'c' AND {host.POSITION} > 5 ORDER BY {host.POSITION}"
        query = f"EXPLAIN QUERY PLAN SELECT * FROM {host.ITEMS} WHERE {where}"
        plan = str((await session.execute(text(query))).all())
    assert "USING INDEX conversation_items_position" in plan


@pytest.fixture
def rows_read(served: Floor, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each query of the database brings."""
    sql = served.conversations.sql_store.sql_store
    fetch = sql.fetch_all
    seen: list[int] = []

    async def counting(*args: Any, **kwargs: Any) -> Any:
        found = await fetch(*args, **kwargs)
        seen.append(len(found.data))
        return found

    monkeypatch.setattr(sql, "fetch_all", counting)
    return seen


@pytest.fixture
def queries(served: Floor, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is asked of the database, by name."""
    sql = served.conversations.sql_store.sql_store
    seen: list[str] = []

    def noted(name: str, call: Any) -> Any:
        async def noting(*args: Any, **kwargs: Any) -> Any:
            seen.append(name)
            return await call(*args, **kwargs)

        return noting

    for name in ("fetch_all", "insert", "upsert"):
        monkeypatch.setattr(sql, name, noted(name, getattr(sql, name)))
    return seen


@pytest.mark.parametrize("calls", [1, 60])
async def test_what_a_turn_adds_costs_the_same_however_long_it_is(
    client: httpx.AsyncClient, served: Floor, queries: list[str], calls: int
) -> None:
    place = await begun(client)
    turn = await ask(client, served, *answer("a", calls), input="u")
    record = served.turns.records[turn["id"]]
    record.turn.conversation = place
    queries.clear()
    await served.histories.join(record, turn)
    assert queries == ["fetch_all", "fetch_all", "fetch_all", "insert"]
    queries.clear()
    await served.histories.join(record, turn)
    assert queries == ["fetch_all"] * 3
