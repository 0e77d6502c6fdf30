"""What the classic Agents API refuses, and how."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from k8gentai.providers.agents_api.routes import create_router
from k8gentai.providers.responses_api import routes as responses_routes
from tests.support.agents_api import ASK, CONFIG, ask, begin, create
from tests.support.providers import Floor

TOO_DEEP = "The body is nested too deeply: 100 objects and lists are the most."


@pytest.mark.parametrize(
    ("config", "param"),
    [
        ({"model": 3}, "agent_config.model"),
        ({"model": "nobody"}, "agent_config.model"),
        ({"model": None}, "agent_config.model"),
        ({"agent_id": "nobody"}, "agent_config.agent_id"),
        ({"client_tools": [{"description": "no name"}]}, "agent_config.client_tools[0].name"),
        ({"sampling_params": {"strategy": {"type": "luck"}}}, "agent_config.sampling_params.strategy"),
        ({"max_infer_iters": 0}, "agent_config.max_infer_iters"),
    ],
)
async def test_a_field_at_fault_is_named(client: httpx.AsyncClient, config: dict[str, Any], param: str) -> None:
    told = await client.post("/v1/agents", json={"agent_config": {**CONFIG, **config}})
    error = told.json()["error"]
    assert (told.status_code, error["param"]) == (400, param)
    assert error["detail"]["errors"][0]["loc"] == ["body", *param.split(".")]


@pytest.mark.parametrize(
    ("config", "param"),
    [
        ({"toolgroups": ["builtin::code_interpreter"]}, "agent_config.toolgroups[0]"),
        (
            {"toolgroups": [{"name": "builtin::rag", "args": {"vector_db_ids": ["vs_1"], "chunks": 4}}]},
            "agent_config.toolgroups[0].args.chunks",
        ),
        (
            {"toolgroups": ["mcp::wiki", {"name": "mcp::wiki", "args": {"a": 1}}]},
            "agent_config.toolgroups[1].args",
        ),
        ({"toolgroups": ["wiki"]}, "agent_config.toolgroups[0]"),
        (
            {"sampling_params": {"strategy": {"type": "top_k", "top_k": 4}}},
            "agent_config.sampling_params.strategy",
        ),
        ({"response_format": {"type": "grammar", "bnf": {}}}, "agent_config.response_format"),
        ({"tool_prompt_format": "python_list"}, "agent_config.tool_prompt_format"),
    ],
)
async def test_what_there_is_not_is_a_501_that_names_it(
    client: httpx.AsyncClient, config: dict[str, Any], param: str
) -> None:
    told = await client.post("/v1/agents", json={"agent_config": {**CONFIG, **config}})
    assert (told.status_code, told.json()["error"]["param"]) == (501, param)
    # The clients try again at any status from 500 on.
    assert told.headers["x-should-retry"] == "false"


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({}, 400, "messages"),
        ({"messages": [{"role": "system", "content": "x"}]}, 400, "messages[0]"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, 400, "messages[0].content[0].text"),
        ({**ASK, "documents": [{"content": "x"}]}, 400, "documents[0].mime_type"),
        (
            {**ASK, "documents": [{"content": {"uri": "http://x/y"}, "mime_type": "text/plain"}]},
            501,
            "documents[0].content",
        ),
        ({**ASK, "documents": [{"content": "x", "mime_type": "application/pdf"}]}, 501, "documents[0].mime_type"),
        ({**ASK, "toolgroups": ["mcp::x"]}, 501, "toolgroups[0]"),
        ({**ASK, "toolgroups": ["builtin::rag"]}, 400, "toolgroups[0].args.vector_db_ids"),
        (
            {**ASK, "toolgroups": [{"name": "builtin::rag", "args": {"vector_store_ids": "vs_1"}}]},
            400,
            "toolgroups[0].args.vector_store_ids",
        ),
        (
            {**ASK, "toolgroups": [{"name": "builtin::rag", "args": {"vector_db_ids": ["vs_2"]}}]},
            400,
            "tools[0].vector_store_ids[0]",
        ),
    ],
)
async def test_a_turn_that_cannot_be_is_not_accepted(
    client: httpx.AsyncClient, served: Floor, body: dict[str, Any], status: int, param: str
) -> None:
    url = await begin(client, await create(client))
    told = await client.post(f"{url}/turn", json=body)
    assert (told.status_code, told.json()["error"]["param"]) == (status, param)
    assert not served.turns.records


async def test_what_is_not_there_is_a_404(client: httpx.AsyncClient, served: Floor) -> None:
    mine = await begin(client, await create(client))
    other = await create(client)
    session_id = mine.rpartition("/")[2]
    for url, code in (
        ("/v1/agents/nobody/session", "agent_not_found"),
        (f"/v1/agents/{other}/session/conv_none/turn", "session_not_found"),
        # Of another agent.
        (f"/v1/agents/{other}/session/{session_id}/turn", "session_not_found"),
    ):
        told = await client.post(url, json={**ASK, "session_name": "x"})
        assert (told.status_code, told.json()["error"]["code"]) == (404, code)
    for path, code in (("turn/resp_none", "turn_not_found"), ("turn/resp_none/step/s", "turn_not_found")):
        told = await client.get(f"{mine}/{path}")
        assert (told.status_code, told.json()["error"]["code"]) == (404, code)


async def test_nothing_that_is_sent_is_run(client: httpx.AsyncClient, served: Floor) -> None:
    """An entrypoint in a configuration is a word and nothing else."""
    agent_id = await create(client, entrypoint="os:abort", framework="langgraph", tools=["os:abort"])
    await ask(client, served, f"{await begin(client, agent_id)}/turn")
    (record,) = served.turns.records.values()
    assert "os:abort" not in record.model_dump_json()


@pytest.mark.parametrize("path", ["/v1/agents", "/v1/responses"])
@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "The body is not valid JSON."),
        (b'{"metadata": NaN}', "The body is not valid JSON."),
        (b'{"metadata": 1e999}', "The body is not valid JSON."),
        (rb'{"model": "\ud800"}', "The body has a character that Unicode does not: half of a surrogate pair."),
        (b"[" * 100_000, TOO_DEEP),
        (b"[" * 101 + b"]" * 101, TOO_DEEP),
    ],
)
async def test_a_body_that_cannot_be_kept(client: httpx.AsyncClient, path: str, body: bytes, message: str) -> None:
    told = await client.post(path, content=body)
    assert (told.status_code, told.json()["error"]["message"]) == (400, message)


@pytest.mark.parametrize("path", ["/v1/agents", "/v1/responses"])
async def test_a_body_that_is_too_large(served: Floor, path: str) -> None:
    """It is refused as its limit is passed, and told how much is taken."""
    app = FastAPI()
    app.include_router(responses_routes.create_router(served.service, max_body_bytes=200))
    app.include_router(create_router(served.agents, max_body_bytes=200))
    turn = {"model": "math", "input": "2+2", "background": True}
    body = json.dumps(turn if path == "/v1/responses" else {"agent_config": CONFIG}).encode()
    asked = 0

    async def in_pieces() -> AsyncIterator[bytes]:
        nonlocal asked
        for piece in (body.ljust(200), b" ", b" "):
            asked += 1
            yield piece

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://stack") as client:
        told = await client.post(path, content=in_pieces())
        assert (told.status_code, told.json()["error"]["code"]) == (413, "request_too_large")
        assert "200 bytes" in told.json()["error"]["message"]
        assert (asked, served.turns.records) == (2, {})
        assert (await client.post(path, content=body.ljust(200))).status_code == 200
