"""Who may see what: the host's policy holds for turns in Redis as for rows in its store."""

from pathlib import Path
from typing import Any

import pytest
from llama_stack.core.access_control.datatypes import AccessRule
from llama_stack.core.request_headers import request_provider_data_context

from k8gentai.agents.contract import events as ev
from k8gentai.providers.host.access import Access, acting_as, caller
from k8gentai.workers.queue.record import Owner
from tests.support.providers import Floor, client_of, floor

ALICE = Owner(principal="alice", attributes={"teams": ["red"]})
BOB = Owner(principal="bob", attributes={"teams": ["blue"]})
CAROL = Owner(principal="carol", attributes={"teams": ["red"]})
ASK = {"model": "math", "input": "2+2", "background": True}


def test_a_user_out_of_a_clients_header_is_nobody() -> None:
    header = {"X-LlamaStack-Provider-Data": '{"__authenticated_user": {"principal": "alice"}}'}
    with request_provider_data_context(header, None):
        assert caller() is None
    with acting_as(ALICE):
        assert caller() == ALICE
        with acting_as(None):
            assert caller() is None


async def status(served: Floor, user: Owner | None, method: str, path: str) -> int:
    async with client_of(served, user) as client:
        return (await client.request(method, path)).status_code


@pytest.mark.parametrize("settled", [False, True])
async def test_others_turns_are_not_there(served: Floor, settled: bool) -> None:
    async with client_of(served, ALICE) as client:
        turn_id = (await client.post("/v1/responses", json=ASK)).json()["id"]
    if settled:
        await served.turns.append(turn_id, ev.TurnCompleted())
        await served.settle()
        served.turns.records.clear()
    path = f"/v1/responses/{turn_id}"
    for method, suffix in (
        ("GET", ""),
        ("GET", "?stream=true"),
        ("GET", "/input_items"),
        ("POST", "/cancel"),
        ("DELETE", ""),
    ):
        assert await status(served, BOB, method, path + suffix) == 404
    assert await status(served, ALICE, "GET", path) == 200
    # The host's default policy lets a team see its members' things.
    assert await status(served, CAROL, "GET", path) == 200
    async with client_of(served, BOB) as client:
        assert (await client.get("/v1/responses")).json()["data"] == []
        told = await client.post("/v1/responses", json={**ASK, "previous_response_id": turn_id})
        assert told.json()["error"]["code"] == "previous_response_not_found"
    assert await status(served, ALICE, "DELETE", path) == 200


def rules(*given: dict[str, Any]) -> list[AccessRule]:
    return [AccessRule.model_validate(rule) for rule in given]


def test_a_custom_policy_decides_on_turns_and_agents() -> None:
    access = Access(
        rules(
            {"permit": {"actions": ["read"], "resource": "sql_record::amf_responses::*"}},
            {"permit": {"principal": "alice", "actions": ["read"], "resource": "model::amf/math"}},
        )
    )
    with acting_as(BOB):
        assert access.allows("read", "resp_1", ALICE)
        assert not access.allows("delete", "resp_1", ALICE)
        assert not access.may_use_model("amf/math")
    with acting_as(ALICE):
        assert access.may_use_model("amf/math")


async def test_an_agent_one_may_not_use_is_not_there(tmp_path: Path) -> None:
    policy = rules({"permit": {"principal": "alice", "actions": ["create", "read", "update", "delete"]}})
    async with floor(tmp_path, policy) as served:
        for user, expected in ((ALICE, 200), (BOB, 404)):
            async with client_of(served, user) as client:
                assert (await client.post("/v1/responses", json=ASK)).status_code == expected
