"""Agents and models in GET /v1/models."""

import pytest


async def test_agents_are_listed_with_framework_and_description(http):
    listed = {entry["id"]: entry for entry in (await http.get("/v1/models")).json()["data"]}
    metadata = listed["amf/calculator"]["custom_metadata"]
    assert metadata["framework"] == "langgraph"
    assert metadata["description"] == "An unchanged module-level graph that does arithmetic."
    assert listed["amf/assistant"]["custom_metadata"]["framework"] == "llama-stack"


async def test_the_endpoints_models_are_listed_beside_them(http):
    listed = {entry["id"] for entry in (await http.get("/v1/models")).json()["data"]}
    assert {"openai/scripted-model", "openai/scripted-other"} <= listed


@pytest.mark.parametrize("name", ["amf/plain", "plain"])
async def test_an_agent_is_not_a_model_to_chat_with(http, name):
    body = {"model": name, "messages": [{"role": "user", "content": "Hello."}]}
    answer = await http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["param"], "POST /v1/responses" in error["message"]) == ("model", True)


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hello."}]}),
        ("/v1/completions", {"prompt": "Hello."}),
        ("/v1/embeddings", {"input": "Hello."}),
    ],
)
async def test_the_connection_of_a_request_that_is_refused_can_be_used_again(http, path, asked):
    """httpx learns of a connection that was closed behind an answer by the next request's failing on it."""
    links = set()
    for _ in range(5):
        answer = await http.post(path, json={"model": "amf/plain", **asked})
        assert answer.status_code == 400
        links.add(id(answer.extensions["network_stream"]))
    assert len(links) == 1


async def test_a_name_that_is_nearly_an_agents_is_answered_with_that(http):
    answer = await http.post("/v1/responses", json={"model": "calculater", "input": "Hello."})
    assert answer.status_code == 404
    assert "did you mean 'calculator'?" in answer.json()["error"]["message"]


async def test_an_agent_is_found_by_its_id_with_and_without_the_prefix(http, client):
    found = [(await http.get(f"/v1/models/{name}")).json() for name in ("amf/calculator", "calculator")]
    assert found[0] == found[1]
    assert found[0]["identifier"] == "amf/calculator"
    assert (await http.get("/v1/models/openai/scripted-model")).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "param"),
    [
        ("GET", "/v1/models/nope", 404, None),
        ("GET", "/v1/nothing", 404, None),
        ("PUT", "/v1/models", 405, None),
        ("GET", "/v1/files?limit=many", 400, "limit"),
        ("GET", "/v1/files/file-nope", 400, "file_id"),
        ("GET", "/v1/conversations/nope", 400, "conversation_id"),
        ("GET", "/v1/conversations/conv_nope/items", 400, "conversation_id"),
        ("GET", f"/v1/conversations/conv_{'0' * 48}/items", 404, "conversation_id"),
    ],
)
async def test_errors_of_the_hosts_routes_have_the_apis_shape(http, method, path, status, param):
    answer = await http.request(method, path)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert error["message"]
    assert error["code"]
