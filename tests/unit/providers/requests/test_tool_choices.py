"""A ``tool_choice`` of a tool that is not there is refused by name; one of a tool that is, is not."""

from dataclasses import replace
from typing import Any

import httpx
import pytest

from k8gentai.providers.errors import ApiError
from k8gentai.providers.requests.request import CreateRequest, read_request
from k8gentai.providers.requests.targets import Target
from k8gentai.providers.requests.tool_choices import check_tool_choice
from tests.support.responses_api import ASK

WEATHER = {"type": "function", "name": "get_weather", "parameters": {"type": "object"}}
SERVER = {"type": "mcp", "server_label": "files", "server_url": "http://mcp"}
SEARCH = {"type": "web_search"}
PLAIN = Target("openai/m", "llama-stack", "llama-stack", implicit=True)
EQUIPPED = Target("e", "crewai", "crewai", tools=frozenset({"add"}), has_tools=True)
SERVED = Target("s", "llama-stack", "llama-stack", has_tools=True, knows_tools=False)
CODE = Target("c", "langgraph", "langgraph", declarative=False)


def named(name: str) -> dict[str, Any]:
    return {"type": "function", "name": name}


def asking(choice: Any, *tools: dict[str, Any]) -> CreateRequest:
    request = read_request("resp_1", {"model": "m", "input": "Go.", "tools": list(tools)})
    return replace(request, parameters={"tool_choice": choice})


@pytest.mark.parametrize(
    ("target", "choice", "tools", "place"),
    [
        (PLAIN, named("nope"), [], "tool_choice.name"),
        (PLAIN, named("get_wether"), [WEATHER], "tool_choice.name"),
        (EQUIPPED, named("nope"), [WEATHER], "tool_choice.name"),
        (PLAIN, "required", [], "tool_choice"),
        (replace(EQUIPPED, tools=frozenset(), has_tools=False), "required", [], "tool_choice"),
        (PLAIN, {"type": "allowed_tools", "mode": "required", "tools": []}, [], "tool_choice"),
        (PLAIN, {"type": "mcp", "server_label": "files"}, [], "tool_choice"),
        (PLAIN, {"type": "mcp", "server_label": "other"}, [SERVER], "tool_choice"),
        (SERVED, {"type": "mcp", "server_label": "files"}, [], "tool_choice"),
        (PLAIN, {"type": "file_search"}, [SEARCH], "tool_choice"),
    ],
)
def test_what_is_not_there_is_refused(target: Target, choice: Any, tools: list[Any], place: str) -> None:
    with pytest.raises(ApiError) as refused:
        check_tool_choice(asking(choice, *tools), target)
    assert (refused.value.status_code, refused.value.param) == (400, place)


@pytest.mark.parametrize(
    ("target", "choice", "tools"),
    [
        (PLAIN, "auto", []),
        (PLAIN, "none", []),
        (PLAIN, None, []),
        (PLAIN, "required", [WEATHER]),
        (PLAIN, named("get_weather"), [WEATHER]),
        (EQUIPPED, "required", []),
        (EQUIPPED, named("add"), []),
        (EQUIPPED, named("get_weather"), [WEATHER]),
        # Their names come while the turn runs.
        (SERVED, named("read_file"), []),
        (PLAIN, named("read_file"), [SERVER]),
        (PLAIN, {"type": "mcp", "server_label": "files", "name": "read_file"}, [SERVER]),
        (PLAIN, {"type": "web_search_preview"}, [SEARCH]),
        (PLAIN, {"type": "allowed_tools", "mode": "auto", "tools": [named("nope")]}, [WEATHER]),
        # Refused before, whatever it names.
        (CODE, "required", []),
    ],
)
def test_what_is_there_may_be_chosen(target: Target, choice: Any, tools: list[Any]) -> None:
    check_tool_choice(asking(choice, *tools), target)


async def test_a_name_like_it_is_suggested(client: httpx.AsyncClient) -> None:
    body = {**ASK, "model": "openai/gpt-4o", "tools": [WEATHER], "tool_choice": named("get_wether")}
    error = (await client.post("/v1/responses", json=body)).json()["error"]
    assert (error["param"], error["message"]) == (
        "tool_choice.name",
        "'tool_choice.name': there is no tool 'get_wether'; did you mean 'get_weather'?",
    )


async def test_a_file_is_named_by_no_address(client: httpx.AsyncClient) -> None:
    part = {"type": "input_file", "filename": "a.pdf", "file_url": "http://files/a.pdf"}
    body = {"model": "openai/gpt-4o", "input": [{"role": "user", "content": [part]}]}
    error = (await client.post("/v1/responses", json=body)).json()["error"]
    assert error["param"] == "input[0].content[0].file_url"
