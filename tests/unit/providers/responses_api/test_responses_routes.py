"""``/v1/responses`` over HTTP: what is answered, streamed, listed and refused."""

import asyncio
import time
from typing import Any
from unittest.mock import AsyncMock

import httpx
import pytest
from llama_stack.core.server.fastapi_router_registry import get_router_routes
from pydantic import BaseModel, RootModel
from redis.exceptions import ConnectionError as RedisConnectionError

from k8gentai.agents.contract import events as ev
from k8gentai.agents.registry.registry import write_registry
from k8gentai.providers.server import external_api as api
from k8gentai.workers.queue.admission import Terms, accept_arguments
from k8gentai.workers.queue.record import TurnRecord
from tests.support.providers import Floor, agent, model
from tests.support.responses_api import ANSWER, ASK, ask, parsed


async def test_a_plain_request_waits_for_the_answer(client: httpx.AsyncClient, served: Floor) -> None:
    response = await ask(client, served, metadata={"k": "v"})
    assert (response["status"], response["object"], response["metadata"]) == ("completed", "response", {"k": "v"})
    assert response["output"][0]["content"][0]["text"] == "four"
    assert response["usage"]["total_tokens"] == 3
    assert response["completed_at"] == response["created_at"] + 2


async def test_agents_are_known_with_and_without_prefix(client: httpx.AsyncClient, served: Floor) -> None:
    await ask(client, served, model="amf/math")
    (record,) = served.turns.records.values()
    assert (record.turn.agent, record.framework, record.implicit) == ("math", "langgraph", False)
    assert record.request["model"] == "amf/math"


@pytest.mark.parametrize("name", ["openai/gpt-4o", "gpt-4o", "openai/late"])
async def test_a_served_model_is_an_implicit_agent(client: httpx.AsyncClient, served: Floor, name: str) -> None:
    served.models.after_refresh = [model("openai/late")]
    await ask(client, served, model=name)
    (record,) = served.turns.records.values()
    assert (record.framework, record.implicit) == ("llama-stack", True)
    assert record.turn.agent.startswith("openai/")


async def test_unknown_and_broken_agents(client: httpx.AsyncClient, served: Floor) -> None:
    unknown = await client.post("/v1/responses", json={**ASK, "model": "nobody"})
    assert unknown.status_code == 404
    assert "client.models.list()" in unknown.json()["error"]["message"]
    broken = await client.post("/v1/responses", json={**ASK, "model": "sick"})
    assert broken.status_code == 503
    assert "no module named 'foo'" in broken.json()["error"]["message"]
    assert broken.headers["x-should-retry"] == "false"


async def test_a_stream_has_ids_and_types(client: httpx.AsyncClient, served: Floor) -> None:
    response, _ = await asyncio.gather(
        client.post("/v1/responses", json={**ASK, "stream": True}), served.turns.play(*ANSWER)
    )
    assert response.headers["content-type"].startswith("text/event-stream")
    events = parsed(response.text)
    assert [id_ for _, id_, _ in events] == [str(number) for number in range(len(events))]
    assert all(type_ == data["type"] for type_, _, data in events)
    assert events[-1][0] == "response.completed"


async def test_a_stream_is_taken_up_anywhere(client: httpx.AsyncClient, served: Floor) -> None:
    response = await ask(client, served)
    url = f"/v1/responses/{response['id']}"
    whole = parsed((await client.get(url, params={"stream": True})).text)
    for position in range(len(whole)):
        rest = await client.get(url, params={"stream": True, "starting_after": position})
        if position + 1 < len(whole):
            assert parsed(rest.text) == whole[position + 1 :]
        by_header = await client.get(url, headers={"Last-Event-ID": str(position)})
        assert by_header.text == rest.text
    # A reconnecting event source repeats its first URL.
    both = await client.get(url, params={"stream": True, "starting_after": 0}, headers={"Last-Event-ID": "3"})
    assert parsed(both.text) == whole[4:]


async def test_a_live_stream_is_followed(client: httpx.AsyncClient, served: Floor) -> None:
    queued = (await client.post("/v1/responses", json={**ASK, "background": True})).json()
    assert queued["status"] == "queued"
    assert queued["background"] is True
    url = f"/v1/responses/{queued['id']}"
    stream, _ = await asyncio.gather(
        client.get(url, params={"stream": True, "starting_after": 0}), served.turns.play(*ANSWER)
    )
    events = parsed(stream.text)
    assert [data["sequence_number"] for *_, data in events] == list(range(1, len(events) + 1))
    assert events[0][0] == "response.queued"


async def test_a_settled_response_is_the_same_from_the_store(client: httpx.AsyncClient, served: Floor) -> None:
    response = await ask(client, served)
    await served.settle()
    await served.settler.settle(response["id"])
    url = f"/v1/responses/{response['id']}"
    before = (await client.get(url)).json()
    served.turns.records.clear()
    assert (await client.get(url)).json() == before == response
    assert (await client.get(url, params={"stream": True})).json()["error"]["code"] == "stream_expired"
    served.turns.away = RedisConnectionError("away")
    assert (await client.get(url)).json() == response


async def test_what_is_not_to_be_kept_can_be_answered_while_it_waits(
    client: httpx.AsyncClient, served: Floor
) -> None:
    asks: list[ev.Event] = [
        ev.Interrupt(call_id="c", name="pay", arguments="{}"),
        ev.TurnSuspended(expires_at=time.time() + 60),
    ]
    response = await ask(client, served, ev.TurnStarted(attempt=1, worker="w"), *asks, store=False, input="Pay.")
    await served.settle()
    answer = {"type": "mcp_approval_response", "approval_request_id": response["output"][0]["id"], "approve": True}
    following = await ask(client, served, *ANSWER, previous_response_id=response["id"], input=[answer])
    record = served.turns.records[following["id"]]
    assert record.replay is not None
    assert (record.replay.of, record.replay.answers["c"].approve) == (response["id"], True)
    assert [item["type"] for item in record.turn.history] == ["message", "mcp_approval_request"]
    other = {**ASK, "previous_response_id": response["id"]}
    again = await client.post("/v1/responses", json=other)
    assert (again.status_code, again.json()["error"]["param"]) == (404, "previous_response_id")


async def test_an_answer_is_not_spent_on_an_agent_that_no_worker_can_import(
    client: httpx.AsyncClient, served: Floor
) -> None:
    asks: list[ev.Event] = [
        ev.Interrupt(call_id="c", name="pay", arguments="{}"),
        ev.TurnSuspended(expires_at=time.time() + 60),
    ]
    response = await ask(client, served, ev.TurnStarted(attempt=1, worker="w"), *asks, input="Pay.")
    answer = {"type": "mcp_approval_response", "approval_request_id": response["output"][0]["id"], "approve": True}
    request = {**ASK, "previous_response_id": response["id"], "input": [answer]}
    served.pools.cannot_import = {"w1": "there is no module 'mine'"}
    refused = await client.post("/v1/responses", json=request)
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "agent_unavailable")
    assert "no worker can import its agent 'math': there is no module 'mine'. " in refused.text
    assert served.turns.records[response["id"]].answered is None
    served.pools.cannot_import = {}
    following = await ask(client, served, *ANSWER, previous_response_id=response["id"], input=[answer])
    assert following["status"] == "completed"


async def test_an_answer_is_known_again_by_what_it_says_itself(client: httpx.AsyncClient, served: Floor) -> None:
    """Servers of several versions run side by side, and each echoes the first request in its own way."""
    asks: list[ev.Event] = [
        ev.Interrupt(call_id="c", name="pay", arguments="{}"),
        ev.TurnSuspended(expires_at=time.time() + 60),
    ]
    response = await ask(
        client, served, ev.TurnStarted(attempt=1, worker="w"), *asks, input="Pay.", instructions="Be brief."
    )
    answer = {"type": "mcp_approval_response", "approval_request_id": response["output"][0]["id"], "approve": True}
    following = await ask(client, served, *ANSWER, previous_response_id=response["id"], input=[answer])
    assert following["instructions"] == "Be brief."
    accepted, terms = served.turns.records[following["id"]], served.turns.terms[-1]

    def digest() -> str:
        arguments = accept_arguments(accepted, terms, version="0", queue_limit=1, keep_seconds=1)
        return str(arguments["digest"])

    first = digest()
    accepted.request["temperature"] = 0.5
    assert digest() == first


async def test_store_false_is_forgotten_once_settled(client: httpx.AsyncClient, served: Floor) -> None:
    response = await ask(client, served, store=False)
    assert response["store"] is False
    url = f"/v1/responses/{response['id']}"
    assert (await client.get(url)).status_code == 200
    await served.settle()
    assert (await client.get(url)).status_code == 404
    assert (await client.get(url, params={"stream": True})).status_code == 404
    assert (await client.get("/v1/responses")).json()["data"] == []


async def test_cancel(client: httpx.AsyncClient, served: Floor) -> None:
    queued = (await client.post("/v1/responses", json={**ASK, "background": True})).json()
    url = f"/v1/responses/{queued['id']}/cancel"
    for _ in range(2):
        cancelled = await client.post(url)
        assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    await served.settle()
    served.turns.records.clear()
    assert (await client.post(url)).status_code == 200
    done = await ask(client, served)
    assert (await client.post(f"/v1/responses/{done['id']}/cancel")).status_code == 409
    assert (await client.post("/v1/responses/resp_nobody/cancel")).status_code == 404


async def test_delete_cancels_and_forgets(client: httpx.AsyncClient, served: Floor) -> None:
    queued = (await client.post("/v1/responses", json={**ASK, "background": True})).json()
    url = f"/v1/responses/{queued['id']}"
    deleted = await client.delete(url)
    assert deleted.json() == {"id": queued["id"], "object": "response", "deleted": True}
    await served.settle()
    assert (await client.get(url)).status_code == 404
    assert (await client.delete(url)).status_code == 404


async def test_delete_while_the_database_is_away_may_be_tried_again(
    client: httpx.AsyncClient, served: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent, child = [(await ask(client, served))["id"] for _ in range(2)]
    await served.settle()
    served.turns.children[parent] = [child]
    with monkeypatch.context() as away:
        away.setattr(served.store, "delete", AsyncMock(side_effect=OSError("away")))
        assert (await client.delete(f"/v1/responses/{parent}")).status_code == 500
    assert (await client.delete(f"/v1/responses/{parent}")).status_code == 200
    assert served.turns.records == {}
    assert [await served.store.get(each) for each in (parent, child)] == [None, None]


async def test_delete_of_a_settled_response(client: httpx.AsyncClient, served: Floor) -> None:
    done = await ask(client, served)
    await served.settle()
    assert (await client.delete(f"/v1/responses/{done['id']}")).status_code == 200
    assert (await client.get(f"/v1/responses/{done['id']}")).status_code == 404


async def test_list_merges_what_is_under_way_with_what_is_settled(
    client: httpx.AsyncClient, served: Floor
) -> None:
    ids = []
    for number in range(5):
        ids.append((await ask(client, served, input=f"{number}"))["id"])
        if number % 2:
            await served.settle()
    ids.append((await client.post("/v1/responses", json={**ASK, "background": True})).json()["id"])
    everything = (await client.get("/v1/responses")).json()
    assert [each["id"] for each in everything["data"]] == ids[::-1]
    assert everything["data"][-1]["input"][0]["content"][0]["text"] == "0"
    assert everything["has_more"] is False
    for order, expected in (("desc", ids[::-1]), ("asc", ids)):
        seen: list[str] = []
        page: dict[str, Any] = {"has_more": True, "last_id": None}
        while page["has_more"]:
            params: dict[str, Any] = {"limit": 2, "order": order} | (
                {"after": page["last_id"]} if page["last_id"] else {}
            )
            page = (await client.get("/v1/responses", params=params)).json()
            seen += [each["id"] for each in page["data"]]
        assert seen == expected
    assert (await client.get("/v1/responses", params={"model": "other"})).json()["data"] == []


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("form", ["resp_nope", "", "{}0", "msg_{}", "{} "])
async def test_no_page_begins_at_what_is_no_id(
    client: httpx.AsyncClient, served: Floor, form: str, order: str
) -> None:
    after = form.format((await ask(client, served))["id"])
    refused = await client.get("/v1/responses", params={"after": after, "order": order})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "after")


async def test_a_page_begins_where_a_deleted_response_was(client: httpx.AsyncClient, served: Floor) -> None:
    ids = [(await ask(client, served, input=f"{number}"))["id"] for number in range(3)]
    await client.delete(f"/v1/responses/{ids[1]}")
    for order, left in (("asc", ids[2]), ("desc", ids[0])):
        page = (await client.get("/v1/responses", params={"after": ids[1], "order": order})).json()
        assert [each["id"] for each in page["data"]] == [left]


async def test_input_items_are_paged(client: httpx.AsyncClient, served: Floor) -> None:
    items = [{"role": "user", "content": f"{number}"} for number in range(3)]
    response = await ask(client, served, input=items)
    url = f"/v1/responses/{response['id']}/input_items"
    newest = (await client.get(url, params={"limit": 2})).json()
    assert [item["content"][0]["text"] for item in newest["data"]] == ["2", "1"]
    assert newest["has_more"] is True
    rest = (await client.get(url, params={"after": newest["last_id"]})).json()
    assert [item["content"][0]["text"] for item in rest["data"]] == ["0"]
    oldest = (await client.get(url, params={"order": "asc", "before": newest["first_id"]})).json()
    assert [item["content"][0]["text"] for item in oldest["data"]] == ["0", "1"]
    assert (await client.get(url, params={"after": "msg_nobody"})).json()["error"]["param"] == "after"


async def test_previous_response_brings_its_history(client: httpx.AsyncClient, served: Floor) -> None:
    first = await ask(client, served, input="one")
    second = await ask(client, served, input="two", previous_response_id=first["id"])
    await served.settle()
    served.turns.records.clear()
    third = await ask(client, served, input="three", previous_response_id=second["id"])
    assert third["previous_response_id"] == second["id"]
    history = served.turns.records[third["id"]].turn.history
    assert [item["content"][0]["text"] for item in history] == ["one", "four", "two", "four"]


async def test_previous_response_must_be_there_and_have_ended(client: httpx.AsyncClient, served: Floor) -> None:
    unknown = await client.post("/v1/responses", json={**ASK, "previous_response_id": "resp_nobody"})
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "previous_response_not_found")
    queued = (await client.post("/v1/responses", json={**ASK, "background": True})).json()
    early = await client.post("/v1/responses", json={**ASK, "previous_response_id": queued["id"]})
    assert (early.status_code, early.json()["error"]["param"]) == (400, "previous_response_id")
    assert len(served.turns.records) == 1


async def test_requests_that_are_refused(client: httpx.AsyncClient, served: Floor) -> None:
    wrong = await client.post("/v1/responses", content=b"{")
    assert (wrong.status_code, wrong.json()["error"]["type"]) == (400, "invalid_request_error")
    limit = await client.get("/v1/responses", params={"limit": 0})
    assert (limit.status_code, limit.json()["error"]["param"]) == (400, "limit")
    served.turns.full = True
    full = await client.post("/v1/responses", json=ASK)
    assert (full.status_code, full.headers["retry-after"]) == (429, "7")
    assert full.json()["error"]["type"] == "rate_limit_error"
    served.turns.away = RedisConnectionError("away")
    away = await client.post("/v1/responses", json=ASK)
    assert (away.status_code, away.headers["retry-after"]) == (503, "1")
    assert not served.turns.records


async def test_a_busy_conversation_is_a_409_that_no_sdk_sends_again(
    client: httpx.AsyncClient, served: Floor
) -> None:
    served.turns.busy = "resp_1"
    busy = await client.post("/v1/responses", json=ASK)
    assert (busy.status_code, busy.json()["error"]["code"]) == (409, "conversation_busy")
    assert "resp_1" in busy.json()["error"]["message"]
    assert busy.headers["x-should-retry"] == "false"


async def test_on_what_terms_a_turn_is_accepted(client: httpx.AsyncClient, served: Floor) -> None:
    """The request's word goes before the definition's, and that before the default."""
    body = {**ASK, "background": True}
    write_registry(served.registry_path, [agent("math", multitaskStrategy="reject", limits={"queue": 4})])
    await client.post("/v1/responses", json=body, headers={"x-stainless-retry-count": "1"})
    await client.post("/v1/responses", json={**body, "multitask_strategy": "rollback"})
    await client.post("/v1/responses", json={**body, "model": "openai/gpt-4o"})
    assert served.turns.terms == [
        Terms(strategy="reject", agent_limit=4, sdk_try=1),
        Terms(strategy="rollback", agent_limit=4),
        Terms(),
    ]


async def test_an_idempotency_key_gives_the_same_turn(client: httpx.AsyncClient, served: Floor) -> None:
    key = {"Idempotency-Key": "k"}
    body = {**ASK, "background": True}
    first, second = [(await client.post("/v1/responses", json=body, headers=key)).json() for _ in range(2)]
    assert first["id"] == second["id"]
    other = await client.post("/v1/responses", json={**body, "input": "other"}, headers=key)
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_key_reused")


async def take_away(served: Floor) -> None:
    async with served.turns.changed:
        served.turns.away = RedisConnectionError("away")
        served.turns.changed.notify_all()


async def test_a_stream_outlasts_redis_being_away(
    client: httpx.AsyncClient, served: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where that begins with the turn's last event."""
    missed, looked = 0, asyncio.Event()
    monkeypatch.setattr("k8gentai.providers.turns.reader._PATIENCE_SECONDS", 0)
    monkeypatch.setattr("k8gentai.providers.turns.reader._RETRY_SECONDS", 0)
    get = served.turns.get

    async def away_at_first(turn_id: str) -> TurnRecord:
        nonlocal missed
        missed += 1
        looked.set()
        if missed == 2:
            raise RedisConnectionError("away")
        return await get(turn_id)

    queued = (await client.post("/v1/responses", json={**ASK, "background": True})).json()
    monkeypatch.setattr(served.turns, "get", away_at_first)
    url = f"/v1/responses/{queued['id']}"
    reading = asyncio.create_task(client.get(url, params={"stream": True}))
    await looked.wait()
    await take_away(served)
    for _ in range(100):
        await asyncio.sleep(0)
    assert not reading.done()
    served.turns.away = None
    await served.turns.play(*ANSWER)
    events = parsed((await reading).text)
    assert [data["sequence_number"] for *_, data in events] == list(range(len(events)))
    assert events[-1][0] == "response.completed"
    assert missed == 3


async def test_who_waits_while_redis_is_away_hears_which_turn_goes_on(
    client: httpx.AsyncClient, served: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("k8gentai.providers.turns.reader._PATIENCE_SECONDS", 0)
    monkeypatch.setattr("k8gentai.providers.turns.reader._RETRY_SECONDS", 0)
    key = {"Idempotency-Key": "k"}
    waiting = asyncio.create_task(client.post("/v1/responses", json=ASK, headers=key))
    async with served.turns.changed:
        await served.turns.changed.wait_for(lambda: served.turns.records)
    (turn_id,) = served.turns.records
    await take_away(served)
    told = await waiting
    assert (told.status_code, told.json()["error"]["code"]) == (503, "store_unavailable")
    assert turn_id in told.json()["error"]["message"]
    assert told.headers["Retry-After"] == "1"
    served.turns.away = None
    again, _ = await asyncio.gather(
        client.post("/v1/responses", json=ASK, headers=key), served.turns.play(*ANSWER)
    )
    assert (again.json()["id"], again.json()["status"]) == (turn_id, "completed")


async def test_an_unexpected_error_says_nothing_of_the_inside(
    client: httpx.AsyncClient, served: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.turns.away = KeyError("secret detail")
    told = await client.get("/v1/responses/resp_1")
    assert told.status_code == 500
    assert "secret" not in told.text


async def test_a_server_that_stops_sends_waiting_clients_to_the_response(
    client: httpx.AsyncClient, served: Floor
) -> None:
    waiting = asyncio.create_task(client.post("/v1/responses", json=ASK))
    async with served.turns.changed:
        await served.turns.changed.wait_for(lambda: served.turns.records)
    served.reader.stop_waiting()
    told = await waiting
    (turn_id,) = served.turns.records
    assert told.status_code == 503
    assert f"/v1/responses/{turn_id}" in told.json()["error"]["message"]
    assert told.headers["x-should-retry"] == "false"
    assert served.turns.records[turn_id].status == "queued"


async def test_routes_come_first(served: Floor) -> None:
    from fastapi import FastAPI

    app = FastAPI()

    @app.get("/v1/responses/{response_id}")
    async def hosts_own(response_id: str) -> str:
        return "the host's"

    @app.post("/v1/chat/completions")
    async def hosts_completions() -> str:
        return "the host's"

    class Inference:
        async def openai_chat_completion(self, request: object) -> BaseModel:
            return RootModel({"id": "ours"})

    app.include_router(api.create_router(api.AmfRoutes(served.server, Inference(), None)))
    served_app = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=served_app, base_url="http://stack") as client,
    ):
        assert (await client.get("/v1/responses/resp_1")).status_code == 404
        asked = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
        assert (await client.post("/v1/chat/completions", json=asked)).json() == {"id": "ours"}


def test_the_host_lists_our_routes_where_it_serves_none() -> None:
    """As for ``GET /v1/inspect/routes``."""
    listed = {
        (route.path, method) for route in get_router_routes(api.create_router(None)) for method in route.methods
    }
    assert {
        ("/v1/responses", "POST"),
        ("/v1/responses/{response_id}", "GET"),
        ("/v1/agents/{agent_id}/session", "POST"),
        ("/v1/chat/completions", "POST"),
    } <= listed
