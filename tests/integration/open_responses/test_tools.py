"""Tools: function calls, ``tool_choice`` and ``allowed_tools``."""

import openresponses_types as schema
import pytest

from tests.integration.open_responses.sentences import departs, holds
from tests.integration.open_responses.turns import ASKS, MODEL, SHOUT, WEATHER, WITH_TOOLS
from tests.scripted import Answer, Call

AGENTS = ("declared", *WITH_TOOLS)


async def respond(http, agent, key, **body):
    answer = await http.post("/v1/responses", json={"model": agent, "input": f"[[{key}]] Go.", **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


def offered(request):
    """The request's tools among those that the model was shown."""
    names = [tool["function"]["name"] for tool in request.body.get("tools") or ()]
    return [name for name in names if name in ("get_weather", "shout")]


@holds(
    "Tool Calling",
    "The output includes a `function_call` item with a `call_id`, `name`, and JSON-string `arguments`.",
)
@holds("Tool Calling", "Clients send the result back as a `function_call_output` item with the same `call_id`.")
@pytest.mark.parametrize("agent", AGENTS)
async def test_function_calls(http, model, key, agent):
    model.script(key, Answer(ASKS), Answer("Rain."))
    first = await respond(http, agent, key, tools=[WEATHER])
    (call,) = first["output"]
    assert (call["type"], call["name"], call["arguments"]) == ("function_call", "get_weather", '{"town": "Ghent"}')
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "64 degrees and clear"}
    body = {"input": [output], "previous_response_id": first["id"], "tools": [WEATHER]}
    second = await respond(http, agent, key, **body)
    assert second["output"][0]["content"][0]["text"] == "Rain."
    assert "64 degrees" in str(model.requests(key)[1].messages[-1])


@holds(
    "tool_choice",
    '`"auto"`, `"required"`: the model MUST call at least one tool; `"none"`: MUST NOT call any tools.',
)
@holds("tool_choice", "In this form, the model is required to call the specified function tool.")
@pytest.mark.parametrize(
    ("choice", "told"),
    [
        ("auto", "auto"),
        ("required", "required"),
        ("none", "auto"),
        ({"type": "function", "name": "shout"}, {"type": "function", "function": {"name": "shout"}}),
    ],
    ids=["auto", "required", "none", "function"],
)
@pytest.mark.parametrize("agent", ["declared", MODEL])
async def test_the_model_is_told_the_choice(http, model, key, agent, choice, told):
    model.script(key, Answer("Yes."))
    response = await respond(http, agent, key, tools=[WEATHER, SHOUT], tool_choice=choice)
    assert response["tool_choice"] == choice
    request = model.requests(key)[0]
    assert request.body.get("tool_choice", "auto") == told
    assert offered(request) == ([] if choice == "none" else ["get_weather", "shout"])


@holds("allowed_tools", "The model MUST restrict its tool calls to the subset named in `allowed_tools`.")
@pytest.mark.parametrize("agent", AGENTS)
async def test_only_allowed_tools_are_offered(http, model, key, agent):
    model.script(key, Answer(ASKS))
    allowed = {"type": "allowed_tools", "tools": [{"type": "function", "name": "get_weather"}]}
    response = await respond(http, agent, key, tools=[WEATHER, SHOUT], tool_choice=allowed)
    assert [item["name"] for item in response["output"]] == ["get_weather"]
    assert [tool["name"] for tool in response["tools"]] == ["get_weather", "shout"]
    assert response["tool_choice"] == {"mode": "auto", **allowed}
    assert offered(model.requests(key)[0]) == ["get_weather"]


@holds("allowed_tools", "Any tool call to a tool not listed MUST be rejected or suppressed by the server.")
@pytest.mark.parametrize("agent", AGENTS)
async def test_calls_of_other_tools_are_rejected(http, model, key, agent):
    model.script(key, Answer(Call("shout", {"town": "Ghent"})), Answer("I may not."))
    allowed = {"type": "allowed_tools", "tools": [{"type": "function", "name": "get_weather"}]}
    response = await respond(http, agent, key, tools=[WEATHER, SHOUT], tool_choice=allowed)
    assert response["status"] == "completed"
    # Neither the client nor a worker was asked to run it.
    called = [item for item in response["output"] if item.get("name") == "shout"]
    assert {(item["type"], item["output"] or "") for item in called} <= {("mcp_call", "")}


@departs(
    "allowed_tools",
    "All tools are still surfaced to the model in context.",
    "the model sees those that are allowed, which holds it to them better than a hint; the response lists all",
)
async def test_other_tools_are_not_shown(http, model, key):
    model.script(key, Answer("Yes."))
    allowed = {"type": "allowed_tools", "tools": [{"type": "function", "name": "shout"}]}
    await respond(http, MODEL, key, tools=[WEATHER, SHOUT], tool_choice=allowed)
    assert offered(model.requests(key)[0]) == ["shout"]


@holds("Semantic Search", "The tool MUST reference existing `vector_store_ids`.")
async def test_file_search_names_its_stores(http):
    tool = {"type": "file_search"}
    answer = await http.post("/v1/responses", json={"model": MODEL, "input": "Hello.", "tools": [tool]})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "tools[0].vector_store_ids")


@holds("Offline Web Search", "In this mode, providers MUST NOT fetch new live web content for the request.")
async def test_offline_web_search_is_refused(http):
    tool = {"type": "web_search", "external_web_access": False}
    answer = await http.post("/v1/responses", json={"model": MODEL, "input": "Hello.", "tools": [tool]})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, "tools[0].external_web_access")


@holds(
    "Context Compaction",
    "Servers MAY expose `POST /v1/responses/compact`. [It] returns a `response.compaction` object.",
)
@pytest.mark.parametrize("way", ["input", "previous_response_id"])
async def test_compaction(http, model, key, way):
    model.script(key, Answer("A word."), Answer("They greet each other."))
    first = await respond(http, MODEL, key)
    given = {"input": f"[[{key}]] Go."} if way == "input" else {"previous_response_id": first["id"]}
    made = (await http.post("/v1/responses/compact", json={"model": MODEL, **given})).json()
    assert made["output"][-1]["type"] == "compaction"
    schema.types.CompactResource.model_validate(made)
