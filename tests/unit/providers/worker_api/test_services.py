"""What the stack does for turns that run: only their workers may ask, and see what the turn's owner may."""

import base64
import math
import sys
from typing import Any

import httpx
import pytest

from k8gentai.workers.queue.grants import PARENT_HEADER
from k8gentai.workers.queue.record import Owner
from k8gentai.workers.stack.service_api import SERVICES_PATH
from tests.support.providers import Floor, client_of
from tests.support.services import found

ADA, BOB, WORKER = Owner(principal="ada"), Owner(principal="bob"), Owner(principal="worker")
SEARCH = {"vector_store_id": "vs_1", "search": {"query": "canals", "max_num_results": 3}}


async def turn_of(served: Floor, owner: Owner | None) -> str:
    async with client_of(served, owner) as client:
        body = {"model": "math", "input": "2+2", "background": True}
        return str((await client.post("/v1/responses", json=body)).json()["id"])


async def ask(served: Floor, service: str, body: dict[str, Any], turn_id: str | None) -> httpx.Response:
    """A worker's request for a turn."""
    headers = {PARENT_HEADER: turn_id} if turn_id else {}
    async with client_of(served, WORKER) as client:
        return await client.post(f"{SERVICES_PATH}/{service}", json=body, headers=headers)


@pytest.mark.parametrize(
    ("service", "body", "answer"),
    [
        ("file-search", SEARCH, {"data": [found("Ghent")]}),
        ("web-search", {"arguments": {"query": "rain"}}, {"text": "about rain"}),
        ("moderation", {"text": "a sword", "guardrail": "peace"}, {"violation": "No. (flagged for: arms)"}),
        ("moderation", {"text": "a dove", "guardrail": "peace"}, {"violation": None}),
        ("file", {"file_id": "file-1"}, {"filename": "a.txt", "content": base64.b64encode(b"hello").decode()}),
    ],
)
async def test_what_is_answered(served: Floor, service: str, body: dict[str, Any], answer: dict[str, Any]) -> None:
    answered = await ask(served, service, body, await turn_of(served, ADA))
    assert (answered.status_code, answered.json()) == (200, answer)


async def test_a_search_is_the_owners(served: Floor) -> None:
    assert (await ask(served, "file-search", SEARCH, await turn_of(served, BOB))).status_code == 404
    assert served.apis.vector_io.searches == []
    assert (await ask(served, "file-search", SEARCH, await turn_of(served, ADA))).status_code == 200
    assert (await ask(served, "file-search", SEARCH, await turn_of(served, None))).status_code == 200
    (search, _) = served.apis.vector_io.searches
    assert (search.query, search.max_num_results) == ("canals", 3)


async def test_a_hit_has_the_files_own_id_and_a_score_that_json_can_say(served: Floor) -> None:
    attributes = {"file_id": "file-7"}
    served.apis.vector_io.hit = found("Ghent", "some-document", attributes=attributes, score=math.inf)
    (hit,) = (await ask(served, "file-search", SEARCH, await turn_of(served, None))).json()["data"]
    assert hit["file_id"] == "file-7"
    assert hit["score"] == sys.float_info.max


@pytest.mark.parametrize("header", [None, "resp_forged"])
async def test_nobody_but_a_worker_may_ask(served: Floor, header: str | None) -> None:
    assert (await ask(served, "file-search", SEARCH, header)).status_code == 403
    assert served.apis.vector_io.searches == []


@pytest.mark.parametrize(
    ("service", "body", "status", "message"),
    [
        ("file-search", {"search": {}}, 400, "vector_store_id"),
        ("file-search", {**SEARCH, "search": {"query": "x", "filters": {"type": "odd"}}}, 400, "filter type: odd"),
        ("web-search", {"arguments": {"query": "broken"}}, 400, "no quota"),
        ("moderation", {"text": "x", "guardrail": "war"}, 400, "No shield found"),
        ("file", {"file_id": "f"}, 404, "'f' not found"),
        ("time-travel", {}, 404, "no service"),
    ],
)
async def test_what_cannot_be_done_is_said(
    served: Floor, service: str, body: dict[str, Any], status: int, message: str
) -> None:
    answer = await ask(served, service, body, await turn_of(served, None))
    assert answer.status_code == status
    assert message in answer.json()["error"]["message"]
