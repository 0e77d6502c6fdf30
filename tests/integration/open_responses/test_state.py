"""``previous_response_id``, ``conversation``, ``truncation`` and ``service_tier``."""

import pytest

from tests.integration.open_responses.sentences import departs, holds
from tests.integration.open_responses.turns import LANGGRAPH, MODEL
from tests.scripted import Answer, Refuse

AGENTS = (LANGGRAPH, MODEL)


async def respond(http, agent, text, **body):
    answer = await http.post("/v1/responses", json={"model": agent, "input": text, **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


@holds("Stateful Conversations", "Servers SHOULD support `previous_response_id` for response chaining.")
@holds(
    "previous_response_id", "The server MUST load both the input and output associated with that prior response."
)
@holds(
    "previous_response_id",
    "MUST preserve the order `previous_response.input` → `previous_response.output` → `input`.",
)
@pytest.mark.parametrize("agent", AGENTS)
async def test_previous_response(http, model, key, agent):
    model.script(key, Answer("First answer."), Answer("Second answer."), Answer("Third answer."))
    previous = None
    for text in ("First question.", "Second question.", "Third question."):
        response = await respond(http, agent, f"[[{key}]] {text}", previous_response_id=previous)
        assert response["previous_response_id"] == previous
        previous = response["id"]
    spoken = [m["content"] for m in model.requests(key)[2].messages if m["role"] != "system"]
    flat = " | ".join(part if isinstance(part, str) else part[0]["text"] for part in spoken)
    order = ["First question.", "First answer.", "Second question.", "Second answer.", "Third question."]
    places = [flat.index(text) for text in order]
    assert places == sorted(places)


@holds(
    "Stateful Conversations",
    "A response that belongs to a conversation MUST identify that conversation in `response.conversation`.",
)
@pytest.mark.parametrize("form", [lambda id_: id_, lambda id_: {"id": id_}], ids=["id", "object"])
async def test_conversation(http, model, key, form):
    model.script(key, Answer("Yes."))
    conversation = (await http.post("/v1/conversations", json={})).json()["id"]
    response = await respond(http, LANGGRAPH, f"[[{key}]] Hello.", conversation=form(conversation))
    read = (await http.get(f"/v1/responses/{response['id']}")).json()
    assert response["conversation"] == read["conversation"] == {"id": conversation}


@holds("truncation", '`"disabled"`: The server MUST NOT truncate any input.')
@holds(
    "truncation",
    "If the combined context exceeds the model's context window, the request MUST fail with an error.",
)
@pytest.mark.parametrize("truncation", ["disabled", "auto", None])
@pytest.mark.parametrize("agent", AGENTS)
async def test_nothing_is_truncated(http, model, key, agent, truncation):
    model.script(key, Refuse(400, "This model's maximum context length is 8192 tokens."))
    long = f"[[{key}]] " + "word " * 50_000
    response = await respond(http, agent, long, truncation=truncation)
    assert model.requests(key)[0].texts("user") == [long]
    assert (response["status"], response["error"]["reason"]) == ("failed", "context_length_exceeded")
    assert "maximum context length" in response["error"]["message"]
    assert response["truncation"] == (truncation or "disabled")


@holds("service_tier", "Implementations SHOULD document which tiers they support.")
@pytest.mark.parametrize("tier", ["auto", "default", None])
async def test_the_default_tier(http, model, key, tier):
    """docs/open-responses.md says so."""
    model.script(key, Answer("Yes."))
    response = await respond(http, LANGGRAPH, f"[[{key}]] Hello.", service_tier=tier)
    assert response["service_tier"] == "default"


@departs(
    "service_tier",
    "Higher tiers should receive faster scheduling.",
    "there is one tier here: all turns of an agent wait in one queue. What was asked for is repeated, and handed "
    "on to the model's endpoint",
)
async def test_another_tier(http, model, key):
    model.script(key, Answer("Yes."))
    response = await respond(http, LANGGRAPH, f"[[{key}]] Hello.", service_tier="priority")
    assert response["service_tier"] == "priority"
