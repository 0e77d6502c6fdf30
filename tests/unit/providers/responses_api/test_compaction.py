"""``POST /v1/responses/compact``: what is summed up, what stands for it, and what is refused."""

import asyncio
from typing import Any

import httpx
import pytest

from k8gentai.agents.adapters.base.messages import to_messages
from k8gentai.agents.contract import events as ev
from k8gentai.agents.registry.registry import write_registry
from tests.support.providers import Floor, agent

MODEL = "openai/gpt-4o"
SUMMARY = [
    ev.TurnStarted(attempt=1, worker="w"),
    ev.MessageDone(message_id="m", text="They like Ghent."),
    ev.Usage(model="m", input_tokens=20, output_tokens=4),
    ev.TurnCompleted(),
]


async def post(
    client: httpx.AsyncClient, served: Floor, path: str, *events: ev.Event, **body: Any
) -> httpx.Response:
    answer, _ = await asyncio.gather(
        client.post(path, json={"model": MODEL, **body}), served.turns.play(*(events or SUMMARY))
    )
    return answer


@pytest.mark.parametrize("settled", [False, True])
async def test_a_turn_goes_on_from_the_summary_and_the_users_words(
    client: httpx.AsyncClient, served: Floor, settled: bool
) -> None:
    first = (await post(client, served, "/v1/responses", input="I like Ghent.")).json()
    made = (
        await post(client, served, "/v1/responses/compact", input="Me too.", previous_response_id=first["id"])
    ).json()
    assert made["object"] == "response.compaction"
    assert [item["type"] for item in made["output"]] == ["message", "message", "compaction"]
    assert made["output"][2]["encrypted_content"] == "They like Ghent."
    assert made["usage"]["total_tokens"] == 24
    if settled:
        await served.settle()
        served.turns.records.clear()
    following = (
        await post(client, served, "/v1/responses", input="Where?", previous_response_id=made["id"])
    ).json()
    record = served.turns.records[following["id"]]
    assert [message["content"] for message in to_messages([*record.turn.history, *record.turn.input])] == [
        "I like Ghent.",
        "Me too.",
        "They like Ghent.",
        "Where?",
    ]


async def test_the_model_sees_all_of_it_and_then_the_task(client: httpx.AsyncClient, served: Floor) -> None:
    first = (await post(client, served, "/v1/responses", input="I like Ghent.")).json()
    await post(
        client, served, "/v1/responses/compact", previous_response_id=first["id"], tools=[{"type": "web_search"}]
    )
    record = list(served.turns.records.values())[-1]
    roles = [message["role"] for message in to_messages([*record.turn.history, *record.turn.input])]
    assert roles == ["user", "assistant", "user"]
    assert "Sum up the conversation" in record.turn.input[-1]["content"][0]["text"]
    assert record.turn.tools == []


async def test_a_compaction_is_a_response_like_others(client: httpx.AsyncClient, served: Floor) -> None:
    made = (await post(client, served, "/v1/responses/compact", input="I like Ghent.")).json()
    got = (await client.get(f"/v1/responses/{made['id']}")).json()
    assert (got["status"], [item["type"] for item in got["output"]]) == ("completed", ["compaction"])
    items = (await client.get(f"/v1/responses/{made['id']}/input_items")).json()["data"]
    assert items == made["output"][:1]
    stream = await client.get(f"/v1/responses/{made['id']}", params={"stream": True})
    assert (stream.status_code, stream.json()["error"]["param"]) == (400, "stream")


async def test_the_items_can_be_brought_as_input(client: httpx.AsyncClient, served: Floor) -> None:
    made = (await post(client, served, "/v1/responses/compact", input="I like Ghent.")).json()
    answer = await post(client, served, "/v1/responses", input=[*made["output"], {"role": "user", "content": "?"}])
    assert answer.status_code == 200, answer.text
    refused = await client.post(
        "/v1/responses", json={"model": MODEL, "input": made["output"], "conversation": "conv_1"}
    )
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "conversation")


async def test_an_agents_model_sums_up(client: httpx.AsyncClient, served: Floor) -> None:
    write_registry(served.registry_path, [agent("poet", model={"name": MODEL}), agent("coded")])
    await post(client, served, "/v1/responses/compact", model="poet", input="I like Ghent.")
    (record,) = served.turns.records.values()
    assert (record.turn.agent, record.implicit) == (MODEL, True)
    refused = await client.post("/v1/responses/compact", json={"model": "coded", "input": "I like Ghent."})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "model")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ([], None),
        ({"model": MODEL}, "input"),
        ({"input": "x"}, "model"),
        ({"model": MODEL, "input": {}}, "input"),
        ({"model": MODEL, "input": [{"type": "compaction", "id": "cmp_1"}]}, "input[0].encrypted_content"),
    ],
)
async def test_what_cannot_be_summed_up(
    client: httpx.AsyncClient, served: Floor, body: Any, param: str | None
) -> None:
    answer = await client.post("/v1/responses/compact", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert not served.turns.records


async def test_the_response_to_sum_up_must_be_there(client: httpx.AsyncClient) -> None:
    body = {"model": MODEL, "previous_response_id": "resp_nobody"}
    answer = await client.post("/v1/responses/compact", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (404, "previous_response_id")


async def test_a_model_that_fails_is_named(client: httpx.AsyncClient, served: Floor) -> None:
    failed = ev.TurnFailed(code="model_error", message="The model is away.")
    answer = await post(client, served, "/v1/responses/compact", failed, input="I like Ghent.")
    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "model_error"
    assert "The model is away." in answer.json()["error"]["message"]
