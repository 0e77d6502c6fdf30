"""Responses are of the form that a request asks for, also those that are not at the answer yet."""

from pydantic import BaseModel

from tests.conformance.helpers import items_of, prompt, write
from tests.conformance.test_client_tools import LOCATE
from tests.scripted import Answer, Call

SAID = '{"city": "Oslo"}'


class Plan(BaseModel):
    """What is asked for."""

    city: str


async def test_words_before_an_approval_are_left_out(client, model, key, page):
    model.script(key, Answer("I write first. ", write(page, "one", "addLine")), Answer(SAID))
    asked = await client.responses.parse(model="equipped", input=prompt(key), text_format=Plan)
    assert [item.type for item in asked.output] == ["mcp_approval_request"], asked.error
    said = {"type": "mcp_approval_response", "approval_request_id": asked.output[0].id, "approve": True}
    async with client.responses.stream(
        model="equipped", input=[said], previous_response_id=asked.id, text_format=Plan
    ) as stream:
        spoken = [event.delta async for event in stream if event.type == "response.output_text.delta"]
        ended = await stream.get_final_response()
    assert ended.output_parsed == Plan(city="Oslo"), ended.error
    # The rest was streamed before.
    assert "".join(spoken) == SAID
    assert len(items_of(ended, "mcp_call")) == 1


async def test_words_before_a_call_of_the_clients_are_left_out(client, model, key):
    model.script(key, Answer("I look first. ", Call("getTown", {"who": "me"})))
    asked = await client.responses.create(
        model="equipped",
        input=prompt(key),
        tools=[LOCATE],
        text={"format": {"type": "json_schema", "name": "Plan", "schema": Plan.model_json_schema()}},
    )
    assert [item.type for item in asked.output] == ["function_call"], asked.error
