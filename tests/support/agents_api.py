"""A client of the classic Agents API, and the worker it waits for."""

import asyncio
import json
from typing import Any

import httpx

from k8gentai.agents.contract import events as ev
from k8gentai.workers.queue.record import Owner
from tests.support.providers import Floor

CONFIG = {"model": "openai/gpt-4o", "instructions": "Be brief."}
ASK = {"messages": [{"role": "user", "content": "2+2"}]}
ALICE = Owner(principal="alice", attributes={})
BOB = Owner(principal="bob", attributes={})

ANSWER: list[ev.Event] = [
    ev.TurnStarted(attempt=1, worker="w"),
    ev.StepStarted(step_id="s0", kind="inference", at=1.0),
    ev.TextDelta(message_id="m", delta="four"),
    ev.MessageDone(message_id="m", text="four"),
    ev.StepCompleted(step_id="s0", kind="inference", at=2.0),
    ev.TurnCompleted(),
]
ASKS_CLIENT: list[ev.Event] = [
    ev.TurnStarted(attempt=1, worker="w"),
    ev.StepStarted(step_id="s0", kind="inference", at=1.0),
    ev.ToolCall(call_id="c1", name="get_weather", arguments='{"town": "Ghent"}', side="client"),
    ev.StepCompleted(step_id="s0", kind="inference", at=2.0),
    ev.TurnCompleted(),
]


async def create(client: httpx.AsyncClient, **config: Any) -> str:
    answer = await client.post("/v1/agents", json={"agent_config": {**CONFIG, **config}})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["agent_id"])


async def begin(client: httpx.AsyncClient, agent_id: str) -> str:
    """A session's URL."""
    answer = await client.post(f"/v1/agents/{agent_id}/session", json={"session_name": "test"})
    return f"/v1/agents/{agent_id}/session/{answer.json()['session_id']}"


async def ask(
    client: httpx.AsyncClient, served: Floor, url: str, body: dict[str, Any] | None = None, *events: ev.Event
) -> httpx.Response:
    answer, _ = await asyncio.gather(client.post(url, json=body or ASK), served.turns.play(*(events or ANSWER)))
    return answer


def chunks(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = answer.text.splitlines()
    return [json.loads(line.removeprefix("data:")) for line in lines if line.startswith("data:")]
