"""What a request's ``tool_choice`` has a declarative agent's model call, in every framework."""

import pytest

from k8gentai.agents.adapters.base.tool_choice import WITHHELD
from tests.conformance.helpers import answer, items_of, prompt, write
from tests.conformance.test_client_tools import LOCATE
from tests.scripted import Answer, Call

_REPEAT = Call("repeat", {"word": "so"})
_NAMED = {"type": "function", "function": {"name": "repeat"}}
_PLAN = {
    "type": "json_schema",
    "name": "Plan",
    "schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
}


def _choices(model, key):
    """What each model call had to call."""
    return [request.body.get("tool_choice") or "auto" for request in model.requests(key)]


def _offered(request):
    return {tool["function"]["name"] for tool in request.body.get("tools") or ()}


@pytest.mark.parametrize(
    ("choice", "sent"), [("required", "required"), ({"type": "function", "name": "repeat"}, _NAMED)]
)
async def test_a_call_is_required_once(choice, sent, client, model, key):
    model.script(key, Answer(_REPEAT), Answer(Call("repeat", {"word": "no"})), Answer("Done."))
    response = await client.responses.create(model="equipped", input=prompt(key), tool_choice=choice)
    assert response.output_text == "Done.", response.error
    assert [call.output for call in items_of(response, "mcp_call")] == ["so so", "no no"]
    assert _choices(model, key) == [sent, "auto", "auto"]


async def test_a_call_is_required_once_around_an_approval(client, model, key, page):
    model.script(key, Answer(write(page, "one", "addLine")), Answer("Done."))
    first = await client.responses.create(model="equipped", input=prompt(key), tool_choice="required")
    ended = await answer(client, first, first.output[0], approve=True)
    assert ended.output_text == "Done.", ended.error
    assert _choices(model, key) == ["required", "auto"]
    assert len(page.read_text().splitlines()) == 1


async def test_a_required_call_is_none_of_the_answer(client, model, key):
    said = '{"city": "Ghent"}'
    model.script(key, Answer(_REPEAT), Answer(said))
    response = await client.responses.create(
        model="equipped", input=prompt(key), tool_choice="required", text={"format": _PLAN}
    )
    assert response.output_text == said, response.error
    first, *_ = model.requests(key)
    assert first.body["tool_choice"] == "required"
    assert _offered(first) == {"repeat", "addLine", "key", "librarian"}


async def test_no_tool_is_called_where_none_may_be(client, model, key, page):
    calls = _REPEAT, write(page, "one", "addLine")
    model.script(key, Answer(*calls), Answer("Done."))
    response = await client.responses.create(
        model="equipped", input=prompt(key), tool_choice="none", tools=[LOCATE]
    )
    assert response.output_text == "Done.", response.error
    assert [call.error for call in items_of(response, "mcp_call")] == [WITHHELD] * 2
    assert not page.exists()
    assert [_offered(request) for request in model.requests(key)] == [set(), set()]
    assert _choices(model, key) == ["auto", "auto"]
    assert all("parallel_tool_calls" not in request.body for request in model.requests(key))
    assert [WITHHELD in told for told in model.requests(key)[1].texts("tool")] == [True] * 2


async def test_no_tool_of_the_clients_is_called_where_none_may_be(client, model, key):
    model.script(key, Answer(Call("getTown", {"who": "me"})), Answer("Done."))
    response = await client.responses.create(
        model="equipped", input=prompt(key), tool_choice="none", tools=[LOCATE]
    )
    assert response.output_text == "Done.", response.error
    assert not items_of(response, "function_call")
    assert all(call.error for call in items_of(response, "mcp_call"))
    assert [_offered(request) for request in model.requests(key)] == [set(), set()]
