"""What an agent came to is what its client gets, and what its next turn is told."""

from typing import Any

from pydantic import BaseModel

from tests.integration.helpers import check_sequence, collect, prompt, text_of
from tests.scripted import Answer, Call, Raw


class Plan(BaseModel):
    """What the planner answers."""

    city: str
    days: int


async def test_an_answer_that_a_node_writes_as_a_dictionary(client):
    events = await collect(await client.responses.create(model="canned", input="Go.", stream=True))
    check_sequence(events)
    assert text_of(events) == events[-1].response.output_text == "This is the answer."


async def test_such_an_answer_is_part_of_the_history(client, model, key):
    first = await client.responses.create(model="canned", input=prompt(key))
    model.script(key, Answer("I see."))
    await client.responses.create(model="plain", input="And?", previous_response_id=first.id)
    assert model.requests(key)[0].texts("assistant") == ["This is the answer."]


async def test_a_structured_answer_is_json_that_the_sdk_reads(client, model, key):
    plan = '{"city": "Oslo", "days": 3}'
    model.script(key, Answer("I note it.", Call("note", {"n": 1})), Answer(Call("Plan", plan)))
    response = await client.responses.parse(model="planner", input=prompt(key), text_format=Plan)
    assert response.output_parsed == Plan(city="Oslo", days=3)
    # What was said on the way is no part of the answer, and the tool that nobody runs is none.
    assert [item.type for item in response.output] == ["mcp_call", "message"]
    assert response.output[0].name == "note"


async def test_a_refusal_in_pieces_is_the_answer_and_figures_count_wherever_they_are(client, model, key):
    pieces: list[Any] = [{"choices": [{"index": 0, "delta": {"refusal": word}}]} for word in ("I ", "can't.")]
    figures = {"x_groq": {"usage": {"prompt_tokens": 50, "completion_tokens": 60}}, "choices": []}
    model.script(key, Answer(*map(Raw, [*pieces, figures])))
    events = await collect(await client.responses.create(model="calculator", input=prompt(key), stream=True))
    check_sequence(events)
    response = events[-1].response
    assert text_of(events) == response.output_text == "I can't."
    assert (response.usage.input_tokens, response.usage.output_tokens) == (50, 60)


async def test_a_whole_answer_in_a_stream_is_the_answer_and_another_choice_is_not(client, model, key):
    message = {"role": "assistant", "content": "I am whole."}
    other = {"index": 1, "delta": {"content": "No, me!"}, "finish_reason": "stop"}
    model.script(key, Answer(Raw({"choices": [{"index": 0, "delta": {}, "message": message}, other]})))
    response = await client.responses.create(model="calculator", input=prompt(key))
    assert (response.status, response.output_text) == ("completed", "I am whole.")
