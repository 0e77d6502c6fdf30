"""What a request asks of an agent is done, or refused with the place named."""

import json

import openai
import pytest
from pydantic import BaseModel

from tests.integration.helpers import DECLARED, LANGGRAPH, LLAMA_STACK, prompt
from tests.scripted import Answer, Call, Raw

TEXT = {"type": "input_text", "text": "What is on it?"}
PIXEL = "data:image/png;base64,iVBORw0KGgo="


class Plan(BaseModel):
    """What is asked for."""

    city: str
    days: int


PLAN = {"type": "json_schema", "name": "plan", "schema": Plan.model_json_schema()}


def asking(*parts):
    return [{"role": "user", "content": [TEXT, *parts]}]


@pytest.mark.parametrize("agent", [LANGGRAPH, DECLARED, LLAMA_STACK])
async def test_an_image_that_is_not_there_is_refused(client, agent):
    image = {"type": "input_image", "file_id": "file-that-is-not-there", "detail": "auto"}
    with pytest.raises(openai.BadRequestError) as caught:
        await client.responses.create(model=agent, input=asking(image))
    assert caught.value.param == "input[0].content[1].file_id"


async def test_an_image_by_its_id_reaches_the_model(client, model, key):
    model.script(key, Answer("A pixel."))
    file = await client.files.create(file=("pixel.png", b"\x89PNG\r\n\x1a\n"), purpose="assistants")
    image = {"type": "input_image", "file_id": file.id, "detail": "auto"}
    named = {"type": "input_text", "text": f"[[{key}]]"}
    response = await client.responses.create(model=LANGGRAPH, input=asking(named, image))
    assert response.output_text == "A pixel."
    sent = model.requests(key)[0].messages[-1]["content"]
    assert sent[-1]["image_url"]["url"] == PIXEL


async def test_an_image_of_a_tool_reaches_the_model(client, model, key):
    model.script(key, Answer(Call("look", {})), Answer("A pixel."))
    response = await client.responses.create(model="noting", input=prompt(key))
    assert response.output_text == "A pixel.", response.error
    assert response.output[0].output == "Seen.[image]"
    *_, result, shown = model.requests(key)[1].messages
    assert (result["role"], result["content"]) == ("tool", "Seen.\n[image]")
    assert (shown["role"], shown["content"][-1]["image_url"]["url"]) == ("user", PIXEL)


async def test_calls_beyond_max_tool_calls_are_not_made(client, model, key):
    model.script(key, Answer(Call("note", {"n": 1})), Answer(Call("note", {"n": 2})), Answer("Done."))
    response = await client.responses.create(model="noting", input=prompt(key), max_tool_calls=1)
    assert (response.status, response.output_text) == ("completed", "Done.")
    first, second, _ = response.output
    assert (first.status, first.output) == ("completed", "noted 1")
    assert (second.status, second.output) == ("failed", None)
    assert "maximum tool calls limit (1)" in model.requests(key)[2].texts("tool")[1]


async def test_the_host_loop_skips_calls_beyond_max_tool_calls(client, model, key):
    model.script(
        key, Answer(Call("multiply", {"a": 1, "b": 2}), Call("multiply", {"a": 3, "b": 4})), Answer("Done.")
    )
    response = await client.responses.create(model="equipped-llama-stack", input=prompt(key), max_tool_calls=1)
    assert (response.status, response.output_text) == ("completed", "Done.")
    assert [item.output for item in response.output if item.type == "mcp_call"] == ["2"]
    assert "maximum tool calls limit (1)" in model.requests(key)[1].texts("tool")[1]


NAMED = {"user": "u", "safety_identifier": "s", "prompt_cache_key": "k", "service_tier": "flex"}


@pytest.mark.parametrize("agent", ["equipped-langgraph", "equipped-llama-stack"])
async def test_who_asks_reaches_the_calls_of_agents_without_code(client, model, key, agent):
    model.script(key, Answer("Hi."))
    await client.responses.create(model=agent, input=prompt(key), **NAMED)
    assert model.requests(key)[0].body.items() >= NAMED.items()


async def test_what_is_asked_reaches_the_calls_of_code(client, model, key):
    plan = {"city": "Oslo", "days": 3}
    model.script(key, Answer("I note. ", Call("note", {"n": 1})), Answer(json.dumps(plan)))
    response = await client.responses.parse(
        model="noting", input=prompt(key), text_format=Plan, temperature=0.5, max_output_tokens=99, **NAMED
    )
    assert response.output_parsed == Plan(**plan)
    for request in model.requests(key):
        # OGX asks OpenAI's models by the newer of the two names.
        most = request.body.get("max_tokens") or request.body.get("max_completion_tokens")
        assert (request.body["temperature"], most) == (0.5, 99)
        assert request.body.items() >= NAMED.items()
        assert request.body["response_format"]["json_schema"]["name"] == "Plan"


@pytest.mark.parametrize(("said", "fault"), [("No JSON.", "in other words"), ('{"city": "Oslo"}', "'days'")])
async def test_an_answer_of_another_form_than_is_asked_for_fails_the_turn(client, model, key, said, fault):
    model.script(key, Answer(said))
    response = await client.responses.create(model="noting", input=prompt(key), text={"format": PLAN})
    assert (response.status, response.error.reason) == ("failed", "invalid_answer")
    assert "text.format" in response.error.message
    assert fault in response.error.message


async def test_a_refusal_is_an_answer_whatever_form_is_asked_for(client, model, key):
    pieces = [{"choices": [{"index": 0, "delta": {"refusal": word}}]} for word in ("I ", "can't.")]
    model.script(key, Answer(*map(Raw, pieces)))
    response = await client.responses.create(model="noting", input=prompt(key), text={"format": PLAN})
    assert (response.status, response.output_text) == ("completed", "I can't.")


@pytest.mark.parametrize(
    ("agent", "asked", "place"),
    [
        (LANGGRAPH, {"tool_choice": "required"}, "tool_choice"),
        (LANGGRAPH, {"reasoning": {"summary": "auto"}}, "reasoning.summary"),
        (LLAMA_STACK, {"text": {"verbosity": "low"}}, "text.verbosity"),
        (DECLARED, {"top_logprobs": 2}, "top_logprobs"),
        (DECLARED, {"extra_body": {"top_k": 3}}, "top_k"),
    ],
)
async def test_what_an_agent_cannot_do_is_refused_by_name(client, agent, asked, place):
    with pytest.raises(openai.BadRequestError) as caught:
        await client.responses.create(model=agent, input="Go.", **asked)
    assert caught.value.param == place
