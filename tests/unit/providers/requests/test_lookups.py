"""What a request names of the stack's own is looked up when its turn is accepted, as the caller."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from k8gentai.agents.contract.turn import Turn
from k8gentai.providers.errors import ApiError
from k8gentai.providers.requests.guardrails import Guardrails
from k8gentai.workers.queue.record import Owner
from tests.support.host_apis import PROMPT
from tests.support.providers import Floor, client_of, floor

ASK = {"model": "openai/gpt-4o", "input": "2+2", "background": True}
ADA, BOB = Owner(principal="ada"), Owner(principal="bob")
FILES = {"type": "file_search", "vector_store_ids": ["vs_1"]}
IMAGE = {"type": "input_image", "detail": "auto", "image_url": "data:,"}


def text(value: str) -> dict[str, str]:
    return {"type": "input_text", "text": value}


def content(*parts: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"type": "message", "role": "user", "content": list(parts)}]


async def accepted(served: Floor, client: httpx.AsyncClient, **body: Any) -> tuple[Turn, dict[str, Any]]:
    """The turn as its agent will see it, and the response."""
    answer = await client.post("/v1/responses", json={**ASK, **body})
    assert answer.status_code == 200, answer.text
    return served.turns.records[answer.json()["id"]].turn, answer.json()


async def refused(client: httpx.AsyncClient, **body: Any) -> tuple[int, str | None]:
    answer = await client.post("/v1/responses", json={**ASK, **body})
    return answer.status_code, answer.json()["error"]["param"]


@pytest.mark.parametrize("model", ["openai/gpt-4o", "math"])
async def test_a_prompt_stands_before_the_instructions_of_any_agent(
    served: Floor, client: httpx.AsyncClient, model: str
) -> None:
    prompt = {"id": PROMPT, "variables": {"role": text("a sage"), "tone": "calm"}}
    turn, response = await accepted(served, client, model=model, prompt=prompt, instructions="Be brief.")
    assert turn.instructions == "You are a sage, calm.\n\nBe brief."
    assert "prompt" not in turn.parameters
    assert (response["prompt"]["id"], response["instructions"]) == (PROMPT, "Be brief.")
    assert response["prompt"]["variables"]["role"]["text"] == "a sage"


async def test_a_prompts_version(served: Floor, client: httpx.AsyncClient) -> None:
    prompt = {"id": PROMPT, "version": "2", "variables": {"role": "a sage"}}
    turn, _ = await accepted(served, client, prompt=prompt)
    assert turn.instructions == "Newer: a sage."


@pytest.mark.parametrize(("given", "missing"), [({}, "role"), ({"role": "a sage"}, "tone"), (None, "role")])
async def test_a_variable_without_a_value_is_named(client: httpx.AsyncClient, given: Any, missing: str) -> None:
    place = await refused(client, prompt={"id": PROMPT, "variables": given})
    assert place == (400, f"prompt.variables.{missing}")


async def test_an_image_among_a_prompts_variables(served: Floor, client: httpx.AsyncClient) -> None:
    prompt = {"id": PROMPT, "variables": {"role": IMAGE, "tone": "calm"}}
    turn, _ = await accepted(served, client, prompt=prompt)
    assert turn.instructions == "You are [Image: role], calm."
    assert turn.input[-1]["content"] == [IMAGE]
    assert len({item["id"] for item in turn.input}) == 2


async def test_a_connector_is_known_by_its_address(served: Floor, client: httpx.AsyncClient) -> None:
    tool = {"type": "mcp", "server_label": "w", "connector_id": "wiki", "authorization": "secret"}
    turn, response = await accepted(served, client, tools=[tool])
    assert turn.tools == [{**tool, "server_url": "http://wiki/mcp"}]
    assert "secret" not in str(response)


async def test_what_is_there_is_left_as_it_came(served: Floor, client: httpx.AsyncClient) -> None:
    tools = [FILES, {"type": "web_search"}]
    named = content({"type": "input_file", "file_id": "file-1"})
    turn, _ = await accepted(served, client, tools=tools, guardrails=["peace", {"type": "peace"}], input=named)
    assert turn.tools == tools
    assert turn.parameters["guardrails"] == ["peace", "peace"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"prompt": {"id": "pmpt_" + "1" * 48}}, "prompt.id"),
        ({"prompt": {"id": PROMPT, "version": "7"}}, "prompt.version"),
        ({"prompt": {"id": PROMPT, "version": "one"}}, "prompt.version"),
        ({"prompt": {"id": PROMPT, "variables": {"rôle": "x"}}}, "prompt.variables.rôle"),
        ({"tools": [{"type": "web_search"}, {**FILES, "vector_store_ids": ["vs_1", "vs_2"]}]},
         "tools[1].vector_store_ids[1]"),
        ({"tools": [{**FILES, "vector_store_ids": []}]}, "tools[0].vector_store_ids"),
        ({"tools": [FILES, FILES]}, "tools[1]"),
        ({"tools": [{"type": "web_search"}, {"type": "web_search_preview"}]}, "tools[1]"),
        ({"tools": [{"type": "mcp", "server_label": "x", "connector_id": "x"}]}, "tools[0].connector_id"),
        ({"guardrails": ["peace", "war"]}, "guardrails[1]"),
        ({"model": "math", "guardrails": ["peace"]}, "guardrails"),
        ({"input": content(text("x"), {"type": "input_file", "file_id": "f"})}, "input[0].content[1].file_id"),
    ],
)  # fmt: skip
async def test_what_is_not_there_is_named(
    served: Floor, client: httpx.AsyncClient, body: dict[str, Any], param: str
) -> None:
    assert await refused(client, **body) == (400, param)
    assert served.turns.records == {}


@pytest.mark.parametrize(
    ("api", "body", "expected"),
    [
        ("vector_io", {"tools": [FILES]}, (400, "tools[0].vector_store_ids")),
        ("tool_runtime", {"tools": [{"type": "web_search"}]}, (400, "tools[0]")),
        (
            "files",
            {"input": content({"type": "input_file", "file_id": "f"})},
            (400, "input[0].content[0].file_id"),
        ),
    ],
)
async def test_what_this_stack_does_not_have_is_named(
    tmp_path: Path, api: str, body: dict[str, Any], expected: tuple[int, str]
) -> None:
    async with floor(tmp_path, without=api) as served, client_of(served) as client:
        assert await refused(client, **body) == expected


async def test_a_stack_without_guardrails_says_so() -> None:
    with pytest.raises(ApiError) as refused:
        await Guardrails(None, None).names(["peace"])
    assert (refused.value.status_code, refused.value.param) == (503, "guardrails")
    assert "Safety API" in refused.value.message


async def test_a_web_search_needs_the_tool(served: Floor, client: httpx.AsyncClient) -> None:
    async def get_tool(name: str) -> None:
        raise ValueError(f"Tool '{name}' not found")

    served.apis.tool_groups.get_tool = get_tool
    assert await refused(client, tools=[{"type": "web_search"}]) == (400, "tools[0]")


async def test_nobody_searches_anothers_store(served: Floor) -> None:
    async with client_of(served, ADA) as ada, client_of(served, BOB) as bob:
        assert await refused(bob, tools=[FILES]) == (400, "tools[0].vector_store_ids[0]")
        await accepted(served, ada, tools=[FILES])
