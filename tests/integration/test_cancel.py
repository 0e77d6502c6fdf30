"""Cancel: queued and running turns end at once, finished ones are left as they are."""

import openai
import pytest

from tests.integration.helpers import LANGGRAPH, LLAMA_STACK, collect, ended, prompt
from tests.scripted import FOREVER, Answer, Gate


@pytest.mark.parametrize("agent", [LANGGRAPH, LLAMA_STACK])
async def test_a_running_turns_model_stream_is_closed(client, model, key, agent):
    model.script(key, Answer("Never ", FOREVER))
    response = await client.responses.create(model=agent, input=prompt(key), background=True)
    request = await model.request(key)
    cancelled = await client.responses.cancel(response.id)
    assert cancelled.status == "cancelled"
    await request.wait_closed()
    assert (await client.responses.retrieve(response.id)).status == "cancelled"


async def test_a_model_that_has_not_answered_yet_is_left_too(client, model, key):
    model.script(key, Answer(Gate(), "Never."))
    response = await client.responses.create(model=LANGGRAPH, input=prompt(key), background=True)
    request = await model.request(key)
    await client.responses.cancel(response.id)
    await request.wait_closed()


async def test_a_reader_of_the_stream_sees_the_end(client, model, key):
    model.script(key, Answer("Never ", FOREVER))
    stream = await client.responses.create(model=LANGGRAPH, input=prompt(key), stream=True)
    first = await anext(aiter(stream))
    await model.request(key)
    await client.responses.cancel(first.response.id)
    events = await collect(stream)
    assert events[-1].response.status == "cancelled"
    assert [event.sequence_number for event in events] == list(range(1, len(events) + 1))


async def test_a_second_cancel_is_200_and_changes_nothing(client, model, key):
    model.script(key, Answer("Never ", FOREVER))
    response = await client.responses.create(model=LANGGRAPH, input=prompt(key), background=True)
    await model.request(key)
    first = await client.responses.cancel(response.id)
    second = await client.responses.cancel(response.id)
    assert (first.status, second.status) == ("cancelled", "cancelled")


async def test_cancelling_a_finished_turn_is_409(client, model, key):
    model.script(key, Answer("Done."))
    response = await client.responses.create(model=LANGGRAPH, input=prompt(key), background=True)
    await ended(client, response.id)
    with pytest.raises(openai.ConflictError) as caught:
        await client.responses.cancel(response.id)
    assert "completed" in caught.value.message
    assert (await client.responses.retrieve(response.id)).output_text == "Done."


async def test_the_worker_goes_on_after_a_cancel(client, model, key):
    model.script(key, Answer(FOREVER), Answer("Still here."))
    response = await client.responses.create(model=LANGGRAPH, input=prompt(key), background=True)
    await model.request(key)
    await client.responses.cancel(response.id)
    assert (await client.responses.create(model=LANGGRAPH, input=prompt(key))).output_text == "Still here."
