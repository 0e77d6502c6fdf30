"""No web page of others reaches a route of the server, be it ours or the host's."""

import http.client
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from k8gentai.stack.environments.hosts import RUN_YAML
from tests.support.processes import ROOT, run_python
from tests.support.stack import Stack

ASK = {"model": "calculator", "input": "What is 17 times 23?", "background": True}
FORMS = {
    "llama-stack": {"POST /v1/files", "POST /v1alpha/file-processors/process"},
    "ogx": {"POST /v1/files", "POST /v1alpha/file-processors/process", "POST /v1alpha/file-processors/jobs"},
}
"""What takes files."""


@pytest.fixture(scope="module")
def walked(host, valkey, tmp_path_factory) -> dict[str, Any]:
    """What each route of the host did with what a page could send."""
    made = Stack(tmp_path_factory.mktemp("walk"), "http://127.0.0.1:1/v1", host)
    python = Path(host.command(1, print)[0]).with_name("python")
    run_yaml = str(ROOT / RUN_YAML)
    environment = {
        **made.environment,
        "REDIS_URL": valkey.url,
        "LLAMA_STACK_CONFIG": run_yaml,
        "OGX_CONFIG": run_yaml,
    }
    done = run_python("-m", "tests.support.walking", environment=environment, python=python)
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_every_route_refuses_pages_of_others(walked: dict[str, Any]) -> None:
    assert walked["faults"] == []


def test_the_routes_are_those_of_the_host_and_ours(walked: dict[str, Any]) -> None:
    for route in (
        "POST /v1/responses",
        "POST /v1/agents/x/session/x/turn",
        "POST /v1/chat/completions",
        "POST /v1/conversations/x/items",
        "POST /v1/files",
        "POST /v1/vector_stores/x/search",
        "GET /v1/models",
        "GET /openapi.json",
    ):
        assert route in walked["routes"]
    assert len(walked["routes"]) > 80


def test_forms_are_taken_where_files_are(walked: dict[str, Any], host) -> None:
    assert set(walked["forms"]) == FORMS[host.name]


def planted(stack: Stack, headers: dict[str, str]) -> int:
    """The status of a turn that a page sends."""
    connection = http.client.HTTPConnection("127.0.0.1", stack.server.port, timeout=60)
    try:
        connection.request("POST", "/v1/responses", json.dumps(ASK), headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_no_page_plants_a_turn(stack: Stack) -> None:
    page = {"Content-Type": "text/plain", "Origin": "https://elsewhere.example", "Sec-Fetch-Site": "cross-site"}
    before = httpx.get(f"{stack.server.url}/v1/responses").json()["data"]
    assert planted(stack, page) == 403
    assert planted(stack, {"Content-Type": "text/plain"}) == 415
    rebound = {
        "Host": "elsewhere.example",
        "Origin": "http://elsewhere.example",
        "Content-Type": "application/json",
    }
    assert planted(stack, rebound) == 421
    assert httpx.get(f"{stack.server.url}/v1/responses").json()["data"] == before
    assert planted(stack, {"Content-Type": "application/json"}) == 200
