"""The drill's client reads one stream over as many connections as it takes (k8gentai.stack.drill.client)."""

import json

import httpx
import pytest

from k8gentai.stack.drill import client as client_module
from k8gentai.stack.drill.client import Client, GoneError, RefusedError
from k8gentai.stack.drill.run import look_at_kept

EVENTS = [
    {"type": "response.created", "sequence_number": 0, "response": {"id": "resp_1"}},
    {"type": "response.output_text.delta", "sequence_number": 1},
    {"type": "response.completed", "sequence_number": 2},
]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(client_module, "_PAUSE_SECONDS", 0.0)


def stream(*events):
    text = "".join(f"id: 1\ndata: {json.dumps(event)}\n\n" for event in events)
    return httpx.Response(200, headers={"content-type": "text/event-stream"}, text=text)


async def run(*answers):
    """Run a client against these answers. Returns it, and the requests it sent."""
    asked = []
    following = iter(answers)

    def answer(request):
        asked.append(request)
        found = next(following)
        if isinstance(found, Exception):
            raise found
        return found

    accepted = []
    async with httpx.AsyncClient(base_url="http://stack", transport=httpx.MockTransport(answer)) as http:
        client = Client(http, "agent", "Hello.", accepted.append)
        await client.run()
    assert accepted == [client.turn_id]
    return client, asked


async def test_a_turn_whose_answer_was_lost_is_sent_again_under_the_same_key():
    busy = httpx.Response(503, headers={"retry-after": "0"})
    client, asked = await run(httpx.ConnectError("away"), busy, stream(*EVENTS))
    assert client.events == EVENTS
    assert {request.method for request in asked} == {"POST"}
    assert len({request.headers["idempotency-key"] for request in asked}) == 1


async def test_a_stream_that_breaks_off_is_taken_up_behind_what_was_read():
    told = {"type": "error", "sequence_number": 2, "message": "the server stops"}
    client, asked = await run(
        stream(*EVENTS[:1]),
        httpx.ConnectError("away"),
        httpx.Response(502),
        stream(EVENTS[1], told),
        stream(EVENTS[2]),
    )
    assert client.events == EVENTS
    assert [request.url.params.get("starting_after") for request in asked] == [None, "0", "0", "0", "1"]


async def test_a_turn_that_is_refused_and_one_that_is_gone_are_told_apart():
    refusal = httpx.Response(404, json={"error": {"message": "no such agent"}})
    with pytest.raises(RefusedError, match="404: no such agent"):
        await run(refusal)
    with pytest.raises(GoneError, match="resp_1"):
        await run(stream(*EVENTS[:1]), httpx.Response(404))


@pytest.mark.parametrize(
    ("kept", "status", "lost"),
    [
        (httpx.Response(200, json={"status": "completed", "error": None, "output": []}), "completed", 0),
        (httpx.Response(404), "gone", 1),
    ],
)
async def test_a_turn_that_has_expired_is_not_lost_while_its_response_is_kept(kept, status, lost):
    answers = iter([httpx.ConnectError("away"), httpx.Response(503), kept])

    def answer(_):
        found = next(answers)
        if isinstance(found, Exception):
            raise found
        return found

    async with httpx.AsyncClient(base_url="http://stack", transport=httpx.MockTransport(answer)) as http:
        client = Client(http, "agent", "Hello.", lambda _: None)
        client.events = [*EVENTS[:2], {**EVENTS[2], "response": {"output": []}}]
        report = await look_at_kept("resp_1", client, in_time=True, watch=None)
    assert (report.status, len(report.lost), report.expired) == (status, lost, not lost)
