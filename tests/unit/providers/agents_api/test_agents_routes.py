"""Agents of the classic Agents API over HTTP: those that are registered, and those that clients make."""

import json
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from k8gentai.agents.registry.registry import write_registry
from k8gentai.providers.agents_api.routes import create_router
from k8gentai.workers.queue.status import LiveWorker, Workers
from tests.support.agents_api import ALICE, ASK, BOB, CONFIG, ask, begin, create
from tests.support.providers import Floor, agent, client_of


@pytest.mark.parametrize("prefix", ["/v1", "/v1alpha"])
async def test_agents_are_created_described_and_deleted(client: httpx.AsyncClient, prefix: str) -> None:
    url = f"{prefix}/agents"
    agent_id = (await client.post(url, json={"agent_config": {**CONFIG, "note": "kept"}})).json()["agent_id"]
    shown = (await client.get(f"{url}/{agent_id}")).json()
    assert (shown["agent_id"], shown["agent_config"]) == (agent_id, {**CONFIG, "note": "kept"})
    assert shown["created_at"].endswith("+00:00")
    listed = (await client.get(url)).json()["data"]
    assert [each["agent_id"] for each in listed] == ["math", "sick", agent_id]
    assert (await client.delete(f"{url}/{agent_id}")).status_code == 204
    gone = await client.get(f"{url}/{agent_id}")
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "agent_not_found")
    assert "GET /v1/agents" in gone.json()["error"]["detail"]


async def test_agents_are_paged(client: httpx.AsyncClient) -> None:
    ids = ["math", "sick", *[await create(client) for _ in range(3)]]
    seen: list[str] = []
    more = True
    while more:
        page = (await client.get("/v1/agents", params={"start_index": len(seen), "limit": 2})).json()
        seen += [each["agent_id"] for each in page["data"]]
        more = page["has_more"]
    assert seen == ids


async def test_registered_agents_tell_how_they_are(client: httpx.AsyncClient, served: Floor) -> None:
    tools = [{"name": "add"}, {"name": "files", "mcp": {"command": "files"}}]
    math_agent = agent("math", tools=tools).model_copy(update={"tools": ["subtract", "add"]})
    agents = [math_agent, agent("idle").model_copy(update={"framework": "crewai"})]
    write_registry(served.registry_path, [*agents, agent("sick", "sick.py:3: no module named 'foo'")])
    listed = {each["agent_id"]: each for each in (await client.get("/v1/agents")).json()["data"]}
    math = listed["math"]
    assert (math["framework"], math["description"]) == ("langgraph", "Does math.")
    assert math["tools"] == ["subtract", "add", "files"]
    assert math["pool"] == "langgraph"
    assert (math["health"], math["queue_depth"]) == ({"status": "ready", "workers": 1}, 2)
    assert listed["idle"]["health"] == {"status": "no_worker", "workers": 0}
    assert listed["sick"]["health"]["status"] == "broken"
    assert "no module named 'foo'" in listed["sick"]["health"]["error"]


async def test_workers_of_the_pool_that_serve_other_agents_are_counted(
    client: httpx.AsyncClient, served: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def workers() -> Workers:
        return Workers([LiveWorker("langgraph", frozenset({"other"})), LiveWorker("crewai")])

    monkeypatch.setattr(served.pools, "workers", workers)
    health = (await client.get("/v1/agents/math")).json()["health"]
    assert health == {"status": "no_worker", "workers": 0, "workers_of_others": 1}


async def test_a_registered_agent_is_not_deleted(client: httpx.AsyncClient) -> None:
    told = await client.delete("/v1/agents/math")
    assert (told.status_code, told.json()["error"]["code"]) == (400, "agent_registered")


@pytest.mark.parametrize(
    "config",
    [
        {"agent_id": "math"},
        {"metadata": {"agent_id": "math"}},
        {"name": "math", "model": "openai/gpt-4o"},
        {"model": "math"},
        {"model": "amf/math"},
    ],
)
async def test_an_agent_may_name_a_registered_one(
    client: httpx.AsyncClient, served: Floor, config: dict[str, Any]
) -> None:
    created = await client.post("/v1/agents", json={"agent_config": {"instructions": "", **config}})
    url = await begin(client, created.json()["agent_id"])
    await ask(client, served, f"{url}/turn")
    (record,) = served.turns.records.values()
    assert (record.turn.agent, record.framework) == ("math", "langgraph")


async def test_a_registered_agent_takes_sessions_itself(client: httpx.AsyncClient, served: Floor) -> None:
    turn = (await ask(client, served, f"{await begin(client, 'math')}/turn")).json()
    assert turn["output_message"]["content"] == "four"
    (record,) = served.turns.records.values()
    assert (record.turn.agent, record.turn.conversation) == ("math", turn["session_id"])


async def test_an_agent_of_ones_own_runs_as_llama_stacks(client: httpx.AsyncClient, served: Floor) -> None:
    tool = {
        "name": "get_weather",
        "description": "The weather.",
        "parameters": [
            {"name": "town", "parameter_type": "str", "description": "where", "required": True},
            {"name": "days", "parameter_type": "int", "description": "", "required": False, "default": 1},
        ],
    }
    agent_id = await create(
        client,
        client_tools=[tool],
        sampling_params={"strategy": {"type": "top_p", "temperature": 0.3, "top_p": 0.9}, "max_tokens": 64},
        tool_config={"tool_choice": "required"},
        response_format={"type": "json_schema", "json_schema": {"title": "Report", "type": "object"}},
        max_infer_iters=3,
    )
    await ask(client, served, f"{await begin(client, agent_id)}/turn")
    (record,) = served.turns.records.values()
    turn = record.turn
    assert (record.framework, record.implicit, turn.agent) == ("llama-stack", True, "openai/gpt-4o")
    assert turn.instructions == "Be brief."
    (offered,) = turn.tools
    assert offered["parameters"] == {
        "type": "object",
        "properties": {"town": {"type": "string", "description": "where"}, "days": {"type": "integer"}},
        "required": ["town"],
    }
    assert turn.parameters["temperature"] == 0.3
    assert (turn.parameters["top_p"], turn.parameters["max_output_tokens"]) == (0.9, 64)
    assert (turn.parameters["tool_choice"], turn.parameters["max_infer_iters"]) == ("required", 3)
    assert turn.parameters["text"]["format"]["name"] == "Report"


async def test_deleting_an_agent_deletes_its_sessions(client: httpx.AsyncClient, served: Floor) -> None:
    agent_id = await create(client)
    url = await begin(client, agent_id)
    turn = (await ask(client, served, f"{url}/turn")).json()
    await client.delete(f"/v1/agents/{agent_id}")
    assert (await client.get(f"/v1/responses/{turn['turn_id']}")).status_code == 404


async def test_an_agent_whose_registered_agent_is_gone_can_be_deleted(
    client: httpx.AsyncClient, served: Floor
) -> None:
    agent_id = await create(client, agent_id="math")
    write_registry(served.registry_path, [])
    assert (await client.get(f"/v1/agents/{agent_id}")).status_code == 200
    assert (await client.delete(f"/v1/agents/{agent_id}")).status_code == 204


async def test_agents_and_sessions_are_their_owners(served: Floor) -> None:
    async with client_of(served, ALICE) as alice, client_of(served, BOB) as bob:
        agent_id = await create(alice)
        url = await begin(alice, agent_id)
        assert (await bob.get(f"/v1/agents/{agent_id}")).status_code == 404
        shared = await begin(bob, "math")
        for path in (url, shared.replace("/v1/", "/v1alpha/")):
            reader = bob if path is url else alice
            assert (await reader.get(path)).status_code == 404
            assert (await reader.post(f"{path}/turn", json=ASK)).status_code == 404
            assert (await reader.delete(path)).status_code == 404
        assert [each["agent_id"] for each in (await bob.get("/v1/agents")).json()["data"]] == ["math", "sick"]


def test_the_api_is_described() -> None:
    """With every field that a body may have, and without a reference that leads nowhere."""
    app = FastAPI()
    nothing_is_asked: Any = None
    app.include_router(create_router(nothing_is_asked))
    described = app.openapi()
    body = described["paths"]["/v1/agents"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert "sampling_params" in body["properties"]["agent_config"]["properties"]
    turn = "/v1alpha/agents/{agent_id}/session/{session_id}/turn"
    assert {turn, f"{turn}/{{turn_id}}/resume", f"{turn}/{{turn_id}}/step/{{step_id}}"} <= described[
        "paths"
    ].keys()
    assert "#/$defs" not in json.dumps(described)


async def test_tool_groups_are_the_stacks_connectors(client: httpx.AsyncClient, served: Floor) -> None:
    agent_id = await create(client, toolgroups=["mcp::wiki"])
    body = {**ASK, "toolgroups": [{"name": "mcp::wiki/look_up", "args": {}}]}
    await ask(client, served, f"{await begin(client, agent_id)}/turn", body)
    (record,) = served.turns.records.values()
    wiki = {"type": "mcp", "server_label": "wiki", "server_url": "http://wiki/mcp", "require_approval": "never"}
    assert record.turn.tools == [wiki, {**wiki, "allowed_tools": ["look_up"]}]


async def test_searches_and_shields_are_the_stacks(client: httpx.AsyncClient, served: Floor) -> None:
    search = {"name": "builtin::rag/knowledge_search", "args": {"vector_db_ids": ["vs_1"]}}
    agent_id = await create(
        client,
        toolgroups=["builtin::websearch", search],
        input_shields=["peace"],
        output_shields=["peace"],
    )
    await ask(client, served, f"{await begin(client, agent_id)}/turn")
    (record,) = served.turns.records.values()
    assert record.turn.tools == [{"type": "web_search"}, {"type": "file_search", "vector_store_ids": ["vs_1"]}]
    assert record.turn.parameters["guardrails"] == ["peace"]


async def test_the_tools_of_a_group_are_listed(client: httpx.AsyncClient) -> None:
    (tool,) = (await client.get("/v1/tools", params={"toolgroup_id": "mcp::wiki"})).json()["data"]
    assert (tool["identifier"], tool["parameters"][0]["name"]) == ("look_up", "page")
    told = await client.get("/v1/tools", params={"toolgroup_id": "builtin::rag"})
    assert (told.status_code, told.json()["error"]["code"]) == (404, "toolgroup_not_found")
