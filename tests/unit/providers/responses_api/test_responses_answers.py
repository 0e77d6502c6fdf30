"""What clients of the Responses API rely on beyond its words: Llama Stack's own tests do (docs/upstream.md)."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from llama_stack_api.conversations import DeleteItemRequest

from k8gentai.agents.contract import events as ev
from k8gentai.providers import host
from tests.support.providers import Floor
from tests.support.responses_api import ANSWER, ASK, ask, parsed


def failed(code: str) -> tuple[ev.Event, ...]:
    return ev.TurnStarted(attempt=1, worker="w"), ev.TurnFailed(code=code, message="no such luck")


async def conversation(served: Floor) -> str:
    created = await served.conversations.create_conversation(host.CreateConversationRequest())
    return str(created.id)


async def texts(served: Floor, conversation_id: str) -> list[str]:
    return [item.content[0].text for item in await served.items.all(conversation_id)]


@pytest.mark.parametrize("stream", [False, True])
async def test_the_conversation_has_the_items_when_the_client_hears_of_the_end(
    client: httpx.AsyncClient, served: Floor, stream: bool
) -> None:
    place = await conversation(served)
    request = client.post("/v1/responses", json={**ASK, "conversation": place, "stream": stream})
    await asyncio.gather(request, served.turns.play(*ANSWER))
    # Nothing was settled yet.
    assert await texts(served, place) == ["2+2", "four"]
    await served.settle()
    assert await texts(served, place) == ["2+2", "four"]


@pytest.mark.parametrize("path", ["/v1/responses/{}", "/v1/responses"])
async def test_so_does_it_for_a_client_that_looks_whether_it_ended(
    client: httpx.AsyncClient, served: Floor, path: str
) -> None:
    place = await conversation(served)
    body = {**ASK, "conversation": place, "background": True}
    begun = (await client.post("/v1/responses", json=body)).json()
    await served.turns.play(*ANSWER)
    seen = (await client.get(path.format(begun["id"]))).json()
    assert (seen["data"][0] if "data" in seen else seen)["status"] == "completed"
    assert await texts(served, place) == ["2+2", "four"]


async def test_a_late_reader_brings_nothing_back_into_the_conversation(
    client: httpx.AsyncClient, served: Floor
) -> None:
    place = await conversation(served)
    response = await ask(client, served, conversation=place)
    await served.settle()
    for item in await served.histories.before(served.turns.records[response["id"]]):
        request = DeleteItemRequest(conversation_id=place, item_id=item["id"])
        await served.conversations.openai_delete_conversation_item(request)
    await client.get(f"/v1/responses/{response['id']}", params={"stream": True})
    assert await texts(served, place) == []


async def test_a_stream_begins_in_progress(client: httpx.AsyncClient, served: Floor) -> None:
    response, _ = await asyncio.gather(
        client.post("/v1/responses", json={**ASK, "stream": True}), served.turns.play(*ANSWER)
    )
    assert parsed(response.text)[0][2]["response"]["status"] == "in_progress"


@pytest.mark.usefixtures("rolled_back")
async def test_who_waits_for_a_turn_that_is_rolled_back_hears_that_it_is_cancelled(
    client: httpx.AsyncClient, served: Floor
) -> None:
    answer = await client.post("/v1/responses", json={**ASK, "conversation": await conversation(served)})
    assert answer.status_code == 200
    told = answer.json()
    assert (told["status"], told["output"], told["id"]) == ("cancelled", [], next(iter(served.turns.rolled_back)))
    assert told["created_at"] > 0
    assert (await client.get(f"/v1/responses/{told['id']}")).status_code == 404


@pytest.mark.usefixtures("rolled_back")
async def test_so_does_who_reads_its_stream(client: httpx.AsyncClient) -> None:
    events = parsed((await client.post("/v1/responses", json={**ASK, "stream": True})).text)
    assert [name for name, _, _ in events] == ["response.created", "response.incomplete"]
    assert [event["sequence_number"] for _, _, event in events] == [0, 1]
    assert events[-1][2]["response"]["status"] == "cancelled"


@pytest.mark.usefixtures("rolled_back")
async def test_one_in_the_background_is_answered_as_it_was_accepted_all_the_same(
    client: httpx.AsyncClient,
) -> None:
    answer = await client.post("/v1/responses", json={**ASK, "background": True})
    assert (answer.status_code, answer.json()["status"]) == (200, "queued")


@pytest.mark.parametrize("stream", [False, True])
async def test_one_that_is_rolled_back_in_its_answer_ends_with_it(
    client: httpx.AsyncClient, served: Floor, stream: bool
) -> None:
    async def half() -> None:
        turn_id = await served.turns.play(*ANSWER[:2])
        await served.turns.roll_back(turn_id, settled=False)

    answer, _ = await asyncio.gather(client.post("/v1/responses", json={**ASK, "stream": stream}), half())
    told = parsed(answer.text)[-1][2]["response"] if stream else answer.json()
    assert (answer.status_code, told["status"]) == (200, "cancelled")


@pytest.mark.parametrize("stream", [False, True])
async def test_one_that_redis_lost_has_failed(client: httpx.AsyncClient, served: Floor, stream: bool) -> None:
    async def half() -> None:
        turn_id = await served.turns.play(*ANSWER[:2])
        served.turns.has_lost_all = True
        await served.turns.roll_back(turn_id, settled=True)

    answer, _ = await asyncio.gather(client.post("/v1/responses", json={**ASK, "stream": stream}), half())
    told = parsed(answer.text)[-1][2]["response"] if stream else answer.json()
    assert (answer.status_code, told["status"], told["error"]["reason"]) == (200, "failed", "turn_lost")


async def test_a_response_in_the_background_is_answered_as_it_was_accepted(
    client: httpx.AsyncClient, served: Floor
) -> None:
    body, headers = {**ASK, "background": True}, {"Idempotency-Key": "k"}
    first = (await client.post("/v1/responses", json=body, headers=headers)).json()
    await served.turns.play(*ANSWER)
    again = (await client.post("/v1/responses", json=body, headers=headers)).json()
    assert first["status"] == "queued"
    assert again == first
    assert (await client.get(f"/v1/responses/{first['id']}")).json()["status"] == "completed"


@pytest.mark.parametrize(
    ("conversation_id", "status"), [("no-id-of-one", 400), ("conv_" + "0" * 48, 404), ("conv_1", 400)]
)
async def test_a_conversation_that_is_not_there(
    client: httpx.AsyncClient, conversation_id: str, status: int
) -> None:
    answered = await client.post("/v1/responses", json={**ASK, "conversation": conversation_id})
    error = answered.json()["error"]
    assert (answered.status_code, error["param"]) == (status, "conversation")
    assert conversation_id in error["message"]


@pytest.mark.parametrize(
    ("code", "shown"),
    [
        ("model_error", "server_error"),
        ("time_limit", "server_error"),
        ("invalid_request", "invalid_prompt"),
        ("invalid_answer", "server_error"),
        ("invalid_image_url", "invalid_image_url"),
    ],
)
async def test_the_code_of_an_error_is_one_of_the_apis_and_its_reason_ours(
    client: httpx.AsyncClient, served: Floor, code: str, shown: str
) -> None:
    response = await ask(client, served, *failed(code))
    assert response["error"] == {"code": shown, "message": "no such luck", "reason": code}


async def test_a_server_of_tools_that_does_not_know_the_caller_is_a_401_that_names_it(
    client: httpx.AsyncClient, served: Floor
) -> None:
    answered, _ = await asyncio.gather(
        client.post("/v1/responses", json=ASK), served.turns.play(*failed("mcp_unauthorized"))
    )
    assert answered.status_code == 401
    assert json.loads(answered.text)["error"]["message"] == "no such luck"
    (turn_id,) = served.turns.records
    kept: dict[str, Any] = (await client.get(f"/v1/responses/{turn_id}")).json()
    assert kept["status"] == "failed"
