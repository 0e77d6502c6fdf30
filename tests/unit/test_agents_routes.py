"""The classic Agents API over HTTP, without processes."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from k8gentai.agents import events as ev
from k8gentai.agents.registry import write_registry
from k8gentai.providers import routes as responses_routes
from k8gentai.providers.agents_api.routes import create_router
from k8gentai.workers.accepting import Terms
from k8gentai.workers.record import Owner
from tests.support.providers import Floor, agent, client_of, floor

CONFIG = {"model": "openai/gpt-4o", "instructions": "Be brief."}
ASK = {"messages": [{"role": "user", "content": "2+2"}]}
TOO_DEEP = "The body is nested too deeply: 100 objects and lists are the most."
ALICE = Owner(principal="alice", attributes={})
BOB = Owner(principal="bob", attributes={})

ANSWER = [
    ev.TurnStarted(attempt=1, worker="w"),
    ev.StepStarted(step_id="s0", kind="inference", at=1.0),
    ev.TextDelta(message_id="m", delta="four"),
    ev.MessageDone(message_id="m", text="four"),
    ev.StepCompleted(step_id="s0", kind="inference", at=2.0),
    ev.TurnCompleted(),
]
ASKS_CLIENT = [
    ev.TurnStarted(attempt=1, worker="w"),
    ev.StepStarted(step_id="s0", kind="inference", at=1.0),
    ev.ToolCall(call_id="c1", name="get_weather", arguments='{"town": "Ghent"}', side="client"),
    ev.StepCompleted(step_id="s0", kind="inference", at=2.0),
    ev.TurnCompleted(),
]


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Floor]:
    async with floor(tmp_path) as made:
        yield made


@pytest.fixture
async def client(served: Floor) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(served) as made:
        yield made


async def create(client: httpx.AsyncClient, **config: Any) -> str:
    answer = await client.post("/v1/agents", json={"agent_config": {**CONFIG, **config}})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["agent_id"])


async def begin(client: httpx.AsyncClient, agent_id: str) -> str:
    """A session's URL."""
    answer = await client.post(f"/v1/agents/{agent_id}/session", json={"session_name": "test"})
    return f"/v1/agents/{agent_id}/session/{answer.json()['session_id']}"


async def play(served: Floor, *events: ev.Event) -> str:
    """Play the worker of the one turn that waits. Returns the turn's id."""
    async with served.turns.changed:
        await served.turns.changed.wait_for(lambda: _queued(served))
    (turn_id,) = _queued(served)
    await served.turns.append(turn_id, *events)
    return turn_id


def _queued(served: Floor) -> list[str]:
    return [id_ for id_, record in served.turns.records.items() if record.status == "queued"]


async def ask(
    client: httpx.AsyncClient, served: Floor, url: str, body: dict[str, Any] | None = None, *events: ev.Event
) -> httpx.Response:
    answer, _ = await asyncio.gather(client.post(url, json=body or ASK), play(served, *(events or ANSWER)))
    return answer


def chunks(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.headers["content-type"].startswith("text/event-stream")
    lines = answer.text.splitlines()
    return [json.loads(line.removeprefix("data:")) for line in lines if line.startswith("data:")]


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
    tools = [{"name": "add"}]
    agents = [agent("math", tools=tools), agent("idle").model_copy(update={"framework": "crewai"})]
    write_registry(served.registry_path, [*agents, agent("sick", "sick.py:3: no module named 'foo'")])
    listed = {each["agent_id"]: each for each in (await client.get("/v1/agents")).json()["data"]}
    math = listed["math"]
    assert (math["framework"], math["description"], math["tools"]) == ("langgraph", "Does math.", ["add"])
    assert (math["health"], math["queue_depth"]) == ({"status": "ready", "workers": 1}, 2)
    assert listed["idle"]["health"] == {"status": "no_worker", "workers": 0}
    assert listed["sick"]["health"]["status"] == "broken"
    assert "no module named 'foo'" in listed["sick"]["health"]["error"]


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
        ({"input_shields": ["guard"]}, "agent_config.input_shields"),
        ({"output_shields": ["guard"]}, "agent_config.output_shields"),
        ({"toolgroups": ["builtin::websearch"]}, "agent_config.toolgroups[0]"),
        ({"toolgroups": [{"name": "builtin::rag", "args": {}}]}, "agent_config.toolgroups[0]"),
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


WEATHER = {"call_id": "c1", "tool_name": "get_weather", "content": "rain"}


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
    assert (stray.status_code, stray.json()["error"]["param"]) == (400, "tool_responses[0].call_id")
    done = (await ask(client, served, f"{url}/turn")).json()
    late = await client.post(f"{url}/turn/{done['turn_id']}/resume", json={"tool_responses": [WEATHER]})
    assert (late.status_code, late.json()["error"]["param"]) == (400, "tool_responses")


async def test_a_turn_that_waits_for_a_person_says_how_to_answer(client: httpx.AsyncClient, served: Floor) -> None:
    url = await begin(client, "math")
    events = [
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


async def test_a_turn_says_which_try_of_a_request_it_is(client: httpx.AsyncClient, served: Floor) -> None:
    url = await begin(client, await create(client))
    headers = {"x-stainless-retry-count": "1", "Idempotency-Key": "k"}
    await asyncio.gather(client.post(f"{url}/turn", json=ASK, headers=headers), play(served, *ANSWER))
    assert served.turns.terms == [Terms(sdk_try=1, idempotency_key="k")]


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
    body = json.dumps({"agent_config": CONFIG, "model": "math", "input": "2+2", "background": True}).encode()
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


def test_the_api_is_described() -> None:
    """With every field that a body may have, and without a reference that leads nowhere."""
    app = FastAPI()
    app.include_router(create_router(Any))
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


async def test_the_tools_of_a_group_are_listed(client: httpx.AsyncClient) -> None:
    (tool,) = (await client.get("/v1/tools", params={"toolgroup_id": "mcp::wiki"})).json()["data"]
    assert (tool["identifier"], tool["parameters"][0]["name"]) == ("look_up", "page")
    told = await client.get("/v1/tools", params={"toolgroup_id": "builtin::rag"})
    assert (told.status_code, told.json()["error"]["code"]) == (404, "toolgroup_not_found")
