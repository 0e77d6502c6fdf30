"""A stream is taken up again at any event, live or finished, from any server process."""

import asyncio
import json

import pytest

from tests.integration.helpers import LANGGRAPH, check_sequence, collect, prompt
from tests.scripted import Answer, Call, Gate


@pytest.fixture(scope="module")
def second_server(stack):
    """Another server process of the same stack."""
    server = stack.add_server()
    yield server
    server.stop()


def plain(events):
    return [event.to_dict() for event in events]


def server_sent(text):
    """The events of an SSE body, as (id, event, data), without the terminator."""
    found = []
    for block in text.replace("\r\n", "\n").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields.get("data", "[DONE]") != "[DONE]":
            found.append((fields.get("id"), fields.get("event"), json.loads(fields["data"])))
    return found


async def finished(client, model, key):
    """A streamed turn with a tool call and text, and its events."""
    model.script(key, Answer(Call("add", {"a": 1, "b": 2})), Answer("It ", "is ", "3."))
    stream = await client.responses.create(model="calculator", input=prompt(key), stream=True)
    events = await collect(stream)
    return events[0].response.id, events


async def test_a_finished_stream_from_every_event(client, model, key):
    response_id, events = await finished(client, model, key)
    for number in range(len(events)):
        stream = await client.responses.retrieve(response_id, stream=True, starting_after=number)
        assert plain(await collect(stream)) == plain(events)[number + 1 :]


async def test_from_the_start(client, model, key):
    response_id, events = await finished(client, model, key)
    stream = await client.responses.retrieve(response_id, stream=True)
    assert plain(await collect(stream)) == plain(events)


async def test_another_server_process_gives_the_same_events(client, second_server, model, key):
    response_id, events = await finished(client, model, key)
    async with second_server.openai() as other:
        for number in (0, len(events) // 2, len(events) - 2):
            stream = await other.responses.retrieve(response_id, stream=True, starting_after=number)
            assert plain(await collect(stream)) == plain(events)[number + 1 :]


async def test_a_live_stream_from_every_event_and_server(client, second_server, model, key):
    """Readers that come while the turn runs get what was and what comes, each from where it asked."""
    gate = Gate()
    model.script(key, Answer("It ", "is ", gate, "late."))
    first = await client.responses.create(model=LANGGRAPH, input=prompt(key), stream=True)
    events = []
    async for event in first:
        events.append(event)
        if event.type == "response.output_text.delta" and event.delta == "is ":
            break
    response_id = events[0].response.id
    async with second_server.openai() as other:
        resumed = [
            await reader.responses.retrieve(response_id, stream=True, starting_after=number)
            for number in range(len(events))
            for reader in (client, other)
        ]
        gathering = asyncio.gather(*(collect(stream) for stream in resumed))
        gate.open()
        events += await collect(first)
        check_sequence(events)
        for place, seen in enumerate(await gathering):
            assert plain(seen) == plain(events)[place // 2 + 1 :]


async def test_the_end_of_a_stream_that_ran_on_without_a_reader(client, model, key):
    """The client went away in mid-stream: the turn goes on, and its rest can be fetched."""
    gate = Gate()
    model.script(key, Answer("Half", gate, " and half."))
    stream = await client.responses.create(model=LANGGRAPH, input=prompt(key), stream=True)
    seen = []
    async for event in stream:
        seen.append(event)
        if event.type == "response.output_text.delta":
            break
    await stream.close()
    gate.open()
    response_id, last = seen[0].response.id, seen[-1].sequence_number
    rest = await collect(await client.responses.retrieve(response_id, stream=True, starting_after=last))
    assert rest[0].sequence_number == last + 1
    assert rest[-1].response.output_text == "Half and half."


async def test_server_sent_events_carry_ids_and_last_event_id_resumes(client, http, model, key):
    response_id, events = await finished(client, model, key)
    whole = server_sent((await http.get(f"/v1/responses/{response_id}?stream=true")).text)
    assert [int(id_) for id_, _, _ in whole] == list(range(len(events)))
    assert [name for _, name, _ in whole] == [event.type for event in events]
    for number in (0, 3, len(events) - 2):
        rest = await http.get(f"/v1/responses/{response_id}?stream=true", headers={"Last-Event-ID": str(number)})
        assert server_sent(rest.text) == whole[number + 1 :]


@pytest.mark.parametrize("query", ["starting_after=-1", "starting_after=soon"])
async def test_a_position_that_is_none_is_a_400(client, http, model, key, query):
    response_id, _ = await finished(client, model, key)
    answer = await http.get(f"/v1/responses/{response_id}?stream=true&{query}")
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "starting_after"
