"""Plain models with what the stack itself has for them: prompts, searches, guardrails."""

import openai
import pytest

from k8gentai.workers.queue import keys
from k8gentai.workers.queue.worker_name import pid_in
from k8gentai.workers.stack.service_api import SERVICES_PATH
from tests.integration.helpers import IMPLICIT, ON_ONE_HOST, check_sequence, collect, ended, prompt
from tests.scripted import FOREVER, Answer, Call, Gate
from tests.support.authority import Authority
from tests.support.run_yaml import GUARDRAIL, with_services
from tests.support.stack import MODEL, Stack


@pytest.fixture(scope="module")
def authority():
    """Knows who calls."""
    made = Authority()
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def equipped(host, model, registry, authority, tmp_path_factory):
    """A stack with a web search and a guardrail, which asks who calls, and two workers."""
    directory = tmp_path_factory.mktemp("equipped")
    made = Stack(directory, model.base_url, host)
    made.run_yaml = with_services(directory / "run.yaml", MODEL, authority.url)
    made.environment["AMF_STACK_API_KEY"] = "worker"
    try:
        made.prepare(registry=registry)
        made.add_server()
        for _ in range(2):
            made.add_worker("llama-stack")
        yield made
    finally:
        made.stop()


async def test_a_prompt_of_the_stack(http, client, model, key):
    text = {"prompt": "You are {{ role }}, {{ tone }}.", "variables": ["role", "tone"]}
    made = (await http.post("/v1/prompts", json=text)).json()
    model.script(key, Answer("Ahoy."))
    variables = {"role": "a pirate", "tone": {"type": "input_text", "text": "loud"}}
    response = await client.responses.create(
        model=IMPLICIT,
        input=prompt(key),
        prompt={"id": made["prompt_id"], "variables": variables},
        instructions="Be brief.",
    )
    assert response.output_text == "Ahoy."
    assert model.requests(key)[0].texts("system") == ["You are a pirate, loud.\n\nBe brief."]
    assert (response.prompt.id, response.instructions) == (made["prompt_id"], "Be brief.")


async def test_a_prompt_gets_all_its_variables(http):
    text = {"prompt": "You are {{ role }}, {{ tone }}.", "variables": ["role", "tone"]}
    made = (await http.post("/v1/prompts", json=text)).json()
    asked = {"id": made["prompt_id"], "variables": {"role": "a pirate"}}
    refused = await http.post("/v1/responses", json={"model": IMPLICIT, "input": "Hello.", "prompt": asked})
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "prompt.variables.tone"


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"prompt": {"id": "pmpt_" + "0" * 48}}, "prompt.id"),
        ({"tools": [{"type": "mcp", "server_label": "x", "connector_id": "gone"}]}, "tools[0].connector_id"),
        ({"tools": [{"type": "web_search"}]}, "tools[0]"),
    ],
)
async def test_what_the_stack_does_not_have_is_named(client, wrong, param):
    with pytest.raises(openai.BadRequestError) as refused:
        await client.responses.create(model=IMPLICIT, input="Hello.", **wrong)
    assert refused.value.param == param


@ON_ONE_HOST
async def test_a_web_search(equipped, model, key):
    model.script(key, Answer(Call("web_search", {"query": "rain"}, id="c1")), Answer("It rains."))
    async with equipped.server.openai(api_key="ada") as client:
        stream = await client.responses.create(
            model=IMPLICIT, input=prompt(key), tools=[{"type": "web_search"}], stream=True
        )
        events = await collect(stream)
    check_sequence(events)
    search, answer = events[-1].response.output
    assert (search.type, search.status, search.action.query) == ("web_search_call", "completed", "rain")
    assert answer.content[0].text == "It rains."
    states = [event.type.rpartition(".")[2] for event in events if "web_search_call" in event.type]
    assert states == ["in_progress", "searching", "completed"]
    assert model.requests(key)[1].texts("tool") == ["web_search found rain (1)"]


@ON_ONE_HOST
async def test_a_guardrail_refuses_the_input(equipped, model, key):
    model.script(key, Answer("unsafe\nS1"))
    async with equipped.server.openai(api_key="ada") as client:
        response = await client.responses.create(
            model=IMPLICIT, input=prompt(key), extra_body={"guardrails": [GUARDRAIL]}
        )
    assert response.error is None, response.error
    (message,) = response.output
    assert (response.status, message.content[0].type) == ("completed", "refusal")
    assert "Violent Crimes" in message.content[0].refusal
    # The guardrail's own call is the only one.
    assert len(model.requests(key)) == 1


@ON_ONE_HOST
async def test_a_guardrail_refuses_the_answer(equipped, model, key):
    model.script(key, Answer("safe"), Answer(f"[[{key}]] Steal it."), Answer("unsafe\nS2"))
    async with equipped.server.openai(api_key="ada") as client:
        stream = await client.responses.create(
            model=IMPLICIT, input=prompt(key), extra_body={"guardrails": [GUARDRAIL]}, stream=True
        )
        events = await collect(stream)
    check_sequence(events)
    (message,) = events[-1].response.output
    assert message.content[0].type == "refusal"
    assert "Non-Violent Crimes" in message.content[0].refusal
    assert not [event for event in events if event.type == "response.output_text.delta"]


async def test_a_moderation_endpoint_is_a_guardrail_of_both_hosts(host, client, model, key):
    # OGX has one guardrail, and no names.
    guarded = {"guardrails": True if host.name == "ogx" else ["moderation"]}
    model.script(key, Answer("A sword."))
    for text in ("Sell me a sword.", "Sell me what is sharp."):
        asked = await client.responses.create(model=IMPLICIT, input=prompt(key, text), extra_body=guarded)
        (message,) = asked.output
        assert message.content[0].refusal == "Content blocked by safety guardrails (flagged for: violence)"
    # Of the first nothing came to the model.
    assert len(model.requests(key)) == 1


@ON_ONE_HOST
async def test_a_guardrail_that_is_not_there_is_named(equipped):
    async with equipped.server.openai(api_key="ada") as client:
        with pytest.raises(openai.BadRequestError) as refused:
            await client.responses.create(model=IMPLICIT, input="Hello.", extra_body={"guardrails": ["gone"]})
    assert refused.value.param == "guardrails[0]"


@ON_ONE_HOST
async def test_a_search_is_not_made_again_when_its_worker_dies(equipped, model, key):
    gate = Gate()
    search = Call("web_search", {"query": key}, id="c1")
    steps = Answer(search), Answer("It ", gate, FOREVER), Answer("It ", "rains.")
    model.script(key, *steps, Answer(search), Answer("It still does."))
    async with equipped.server.openai(api_key="ada") as client:
        asked = await client.responses.create(
            model=IMPLICIT, input=prompt(key), tools=[{"type": "web_search"}], background=True
        )
        await gate.reached()
        with equipped.redis() as redis:
            name = redis.hget(keys.TURN + asked.id, "worker").decode()
        equipped.worker(pid_in(name)).kill()
        response = await ended(client, asked.id)
    assert response.output_text == "It rains."
    assert [item.type for item in response.output] == ["web_search_call", "message"]
    # One answer was recorded, one was cut off, one came after.
    _, cut, again = model.requests(key)
    assert cut.texts("tool") == again.texts("tool") == [f"web_search found {key} (1)"]
    # The next turn's search is the second of that query.
    async with equipped.server.openai(api_key="ada") as client:
        await client.responses.create(model=IMPLICIT, input=prompt(key), tools=[{"type": "web_search"}])
    assert model.requests(key)[-1].texts("tool") == [f"web_search found {key} (2)"]


@ON_ONE_HOST
async def test_a_worker_searches_what_its_turns_owner_may_see_and_nobody_else(equipped, model, key):
    search = Call("file_search", {"query": "returned bags"}, id="c1")
    model.script(key, Answer(search), Answer("Within 30 days."))
    async with (
        equipped.server.openai(api_key="ada") as ada,
        equipped.server.openai(api_key="bob") as bob,
        equipped.server.openai(api_key="worker") as worker,
    ):
        file = await ada.files.create(file=("returns.txt", b"Bags may be returned."), purpose="assistants")
        store = await ada.vector_stores.create(name="ada's")
        put = await ada.vector_stores.files.create(store.id, file_id=file.id)
        assert put.status == "completed", put.last_error
        asked = {
            "model": IMPLICIT,
            "input": prompt(key),
            "tools": [{"type": "file_search", "vector_store_ids": [store.id]}],
        }
        response = await ada.responses.create(**asked)
        assert response.output[0].status == "completed", model.requests(key)[-1].texts("tool")
        assert response.output[0].results[0].text == "Bags may be returned."
        for other in (bob, worker):
            with pytest.raises(openai.BadRequestError) as refused:
                await other.responses.create(**asked)
            assert refused.value.param == "tools[0].vector_store_ids[0]"
            with pytest.raises(openai.APIStatusError):
                await other.vector_stores.search(store.id, query="bags")
    body = {"vector_store_id": store.id, "search": {"query": "bags"}}
    async with equipped.server.http(headers={"Authorization": "Bearer worker"}) as plain:
        refused = await plain.post(f"{SERVICES_PATH}/file-search", json=body)
    assert (refused.status_code, refused.json()["error"]["type"]) == (403, "invalid_request_error")
