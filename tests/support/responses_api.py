"""A client of the Responses API, and the worker it waits for."""

import asyncio
import json
from typing import Any

import httpx

from k8gentai.agents.contract import events as ev
from tests.support.providers import Floor

ANSWER: list[ev.Event] = [
    ev.TurnStarted(attempt=1, worker="w"),
    ev.TextDelta(message_id="m", delta="fo"),
    ev.TextDelta(message_id="m", delta="ur"),
    ev.MessageDone(message_id="m", text="four"),
    ev.Usage(model="m", input_tokens=2, output_tokens=1),
    ev.TurnCompleted(),
]
ASK = {"model": "math", "input": "2+2"}


async def ask(client: httpx.AsyncClient, served: Floor, *events: ev.Event, **body: Any) -> dict[str, Any]:
    """A whole turn."""
    response, _ = await asyncio.gather(
        client.post("/v1/responses", json={**ASK, **body}), served.turns.play(*(events or ANSWER))
    )
    assert response.status_code == 200, response.text
    return response.json()


def parsed(body: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Event, id and data of each server-sent event before the one that says that there are no more."""
    found = []
    *blocks, done = body.replace("\r\n", "\n").strip().split("\n\n")
    assert done == "data: [DONE]"
    for block in blocks:
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        found.append((fields["event"], fields.get("id", ""), json.loads(fields["data"])))
    return found
