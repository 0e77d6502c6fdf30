"""Sessions and turns of the classic Agents API over HTTP."""

import asyncio

import httpx
import pytest

from k8gentai.agents.contract import events as ev
from k8gentai.workers.queue.admission import Terms
from tests.support.agents_api import ANSWER, ASK, ASKS_CLIENT, ask, begin, chunks, create
from tests.support.providers import Floor

WEATHER = {"call_id": "c1", "tool_name": "get_weather", "content": "rain"}


async def test_documents_and_images_reach_the_agent(client: httpx.AsyncClient, served: Floor) -> None:
    url = await begin(client, await create(client))
    image = {"type": "image", "image": {"data": "iVBORw0KGgo="}}
    body = {
        "messages": [{"role": "user", "content": [image, {"type": "text", "text": "What is this?"}]}],
        "documents": [
            {"content": "Ghent is in Flanders.", "mime_type": "text/plain"},
            {"content": {"uri": "data:image/png;base64,iVBORw0KGgo="}, "mime_type": "image/png"},
        ],
    }
    await ask(client, served, f"{url}/turn", body)
    (record,) = served.turns.records.values()
    picture, question, document, attached = record.turn.input[0]["content"]
    assert picture["image_url"] == attached["image_url"] == "data:image/png;base64,iVBORw0KGgo="
    assert (question["text"], document["text"]) == ("What is this?", "Ghent is in Flanders.")


async def test_a_stream_ends_with_the_turn(client: httpx.AsyncClient, served: Floor) -> None:
    url = await begin(client, await create(client))
    streamed = chunks(await ask(client, served, f"{url}/turn", {**ASK, "stream": True}))
    types = [chunk["event"]["payload"]["event_type"] for chunk in streamed]
    assert types == ["turn_start", "step_start", "step_progress", "step_complete", "turn_complete"]
    turn = streamed[-1]["event"]["payload"]["turn"]
    assert (await client.get(f"{url}/turn/{turn['turn_id']}")).json() == turn
    step = turn["steps"][0]
    shown = (await client.get(f"{url}/turn/{turn['turn_id']}/step/{step['step_id']}")).json()
    assert shown == {"step": step}
    assert (await client.get(f"{url}/turn/{turn['turn_id']}/step/none")).json()["error"][
        "code"
    ] == "step_not_found"


@pytest.mark.usefixtures("rolled_back")
@pytest.mark.parametrize("stream", [False, True])
async def test_who_waits_for_a_turn_that_is_rolled_back_hears_that_it_is_cancelled(
    client: httpx.AsyncClient, stream: bool
) -> None:
    url = await begin(client, await create(client))
    answer = await client.post(f"{url}/turn", json={**ASK, "stream": stream})
    error = chunks(answer)[-1]["error"] if stream else answer.json()["error"]
    assert error["code"] == "cancelled"
    assert error["message"].endswith("The turn was cancelled.")
    assert answer.status_code != 404


@pytest.mark.parametrize("settled", [False, True])
async def test_a_session_shows_its_turns_settled_or_not(
    client: httpx.AsyncClient, served: Floor, settled: bool
) -> None:
    url = await begin(client, await create(client))
    turns = []
    for _ in range(3):
        turns.append((await ask(client, served, f"{url}/turn")).json())
        if settled or not turns[1:]:
            await served.settle()
    if settled:
        served.turns.records.clear()
    session = (await client.get(url)).json()
    assert (session["session_name"], session["turns"]) == ("test", turns)
    some = (await client.get(url, params={"turn_ids": f"{turns[0]['turn_id']},{turns[2]['turn_id']}"})).json()
    assert some["turns"] == [turns[0], turns[2]]
    listed = (await client.get(f"{url.rpartition('/session/')[0]}/sessions")).json()
    assert [each["session_id"] for each in listed["data"]] == [session["session_id"]]


@pytest.mark.parametrize("settled", [False, True])
async def test_a_turn_is_resumed(client: httpx.AsyncClient, served: Floor, settled: bool) -> None:
    url = await begin(client, await create(client))
    first = (await ask(client, served, f"{url}/turn", ASK, *ASKS_CLIENT)).json()
    assert first["output_message"]["tool_calls"][0]["arguments"] == {"town": "Ghent"}
    if settled:
        await served.settle()
        served.turns.records.clear()
    resume = f"{url}/turn/{first['turn_id']}/resume"
    second = (await ask(client, served, resume, {"tool_responses": [WEATHER]})).json()
    assert second["turn_id"] == first["turn_id"]
    assert [step["step_type"] for step in second["steps"]] == ["inference", "tool_execution", "inference"]
    assert second["steps"][1]["tool_responses"][0]["content"] == "rain"
    assert second["output_message"]["content"] == "four"
    (sent,) = [
        record.turn.input for record in served.turns.records.values() if record.turn.input[0]["type"] != "message"
    ]
    assert (sent[0]["call_id"], sent[0]["output"]) == ("c1", "rain")
    await served.settle()
    assert (await client.get(url)).json()["turns"] == [second]


async def test_a_turn_is_resumed_once(client: httpx.AsyncClient, served: Floor) -> None:
    url = await begin(client, await create(client))
    first = (await ask(client, served, f"{url}/turn", ASK, *ASKS_CLIENT)).json()
    resume = f"{url}/turn/{first['turn_id']}/resume"
    body = {"tool_responses": [WEATHER]}
    second = await ask(client, served, resume, body)
    assert (await client.post(resume, json=body)).json() == second.json()
    other = await client.post(resume, json={"tool_responses": [{**WEATHER, "content": "sun"}]})
    assert (other.status_code, other.json()["error"]["param"]) == (400, "tool_responses")
    assert len(served.turns.records) == 2


async def test_responses_to_what_was_not_asked(client: httpx.AsyncClient, served: Floor) -> None:
    url = await begin(client, await create(client))
    first = (await ask(client, served, f"{url}/turn", ASK, *ASKS_CLIENT)).json()
    resume = f"{url}/turn/{first['turn_id']}/resume"
    stray = await client.post(resume, json={"tool_responses": [{**WEATHER, "call_id": "c2"}]})
    other = await client.post(resume, json={"tool_responses": [{**WEATHER, "tool_name": "get_time"}]})
    assert (stray.status_code, stray.json()["error"]["param"]) == (400, "tool_responses[0].call_id")
    assert (other.status_code, other.json()["error"]["param"]) == (400, "tool_responses[0].tool_name")
    done = (await ask(client, served, f"{url}/turn")).json()
    late = await client.post(f"{url}/turn/{done['turn_id']}/resume", json={"tool_responses": [WEATHER]})
    assert (late.status_code, late.json()["error"]["param"]) == (400, "tool_responses")


async def test_a_turn_that_waits_for_a_person_says_how_to_answer(client: httpx.AsyncClient, served: Floor) -> None:
    url = await begin(client, "math")
    events: list[ev.Event] = [
        ev.TurnStarted(attempt=1, worker="w"),
        ev.Interrupt(call_id="p", name="pay", arguments="{}"),
        ev.TurnSuspended(expires_at=9e9),
    ]
    turn = (await ask(client, served, f"{url}/turn", ASK, *events)).json()
    resume = f"{url}/turn/{turn['turn_id']}/resume"
    told = await client.post(resume, json={"tool_responses": [{**WEATHER, "call_id": "p"}]})
    assert told.status_code == 501
    assert f"k8gentai turns approve {turn['turn_id']}" in told.json()["error"]["message"]


async def test_a_failed_turn_is_an_error_and_stays_in_its_session(
    client: httpx.AsyncClient, served: Floor
) -> None:
    url = await begin(client, await create(client))
    failure = ev.TurnFailed(code="model_error", message="The model is away.")
    told = await ask(client, served, f"{url}/turn", ASK, *ANSWER[:2], failure)
    assert told.status_code == 500
    assert "The model is away." in told.json()["error"]["message"]
    assert told.headers["x-should-retry"] == "false"
    streamed = chunks(await ask(client, served, f"{url}/turn", {**ASK, "stream": True}, *ANSWER[:2], failure))
    assert streamed[-1]["error"]["message"] == "The model is away."
    assert [turn["error"]["code"] for turn in (await client.get(url)).json()["turns"]] == ["model_error"] * 2


async def test_deleting_a_session_forgets_its_turns_and_its_conversation(
    client: httpx.AsyncClient, served: Floor
) -> None:
    url = await begin(client, await create(client))
    turn = (await ask(client, served, f"{url}/turn")).json()
    await served.settle()
    assert (await client.delete(url)).status_code == 204
    assert (await client.get(url)).status_code == 404
    assert (await client.get(f"/v1/responses/{turn['turn_id']}")).status_code == 404
    body = {"model": "math", "input": "hi", "conversation": turn["session_id"]}
    assert (await client.post("/v1/responses", json=body)).status_code == 404


async def test_a_turn_says_which_try_of_a_request_it_is(client: httpx.AsyncClient, served: Floor) -> None:
    url = await begin(client, await create(client))
    headers = {"x-stainless-retry-count": "1", "Idempotency-Key": "k"}
    await asyncio.gather(client.post(f"{url}/turn", json=ASK, headers=headers), served.turns.play(*ANSWER))
    assert served.turns.terms == [Terms(sdk_try=1, idempotency_key="k")]
