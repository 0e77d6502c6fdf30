"""BeeAI's agents: how they answer, work with others, and ask people."""

import asyncio
import json

import pytest

from tests.conformance.helpers import (
    answer,
    check_sequence,
    collect,
    ended,
    items_of,
    prompt,
    shapes_of,
    steps_of,
    text_of,
    write,
)
from tests.scripted import FOREVER, Answer, Call, Gate

pytestmark = pytest.mark.parametrize("framework", ["beeai"], indirect=True, scope="session")


def final(text, **options):
    return Call("final_answer", {"response": text}, **options)


async def test_an_answer_that_is_a_tool_call_is_streamed_as_text(client, model, key):
    model.script(key, Answer(final("It is forty-two.", pieces=6)))
    events = await collect(await client.responses.create(model="formal", input=prompt(key), stream=True))
    check_sequence(events)
    assert [item.type for item in events[-1].response.output] == ["message"]
    assert text_of(events) == "It is forty-two."
    assert len([event for event in events if event.type == "response.output_text.delta"]) > 1


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ("listen", "ValueError: heard too much"),
        ("by hand", "LookupError: it failed: the tool did"),
        ("workflow", "SystemExit: 6"),
    ],
)
async def test_a_turn_fails_with_what_was_raised_not_with_what_beeai_makes_of_it(client, model, key, part, told):
    model.script(key, Answer("Heard."))
    turn = await client.responses.create(model="broken", input=prompt(key, part), background=True)
    response = await ended(client, turn.id)
    assert response.status == "failed"
    assert response.error.message.endswith(told)


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        pytest.param((Answer("Let me answer: ", final("42 it is")),), "42 it is", id="beside words"),
        pytest.param((Answer(final("one"), final("two")),), "two", id="two"),
        pytest.param(
            (Answer(Call("final_answer", {"answer": "x"})), Answer(final("later"))), "later", id="other arguments"
        ),
        pytest.param((Answer(Call("final_answer", {})), Answer("later")), "later", id="no arguments"),
        pytest.param(
            (Answer(Call("final_answer", {"response": ["x"]})), Answer("later")), "later", id="not a text"
        ),
        pytest.param((Answer('{"response": "inner words"}'),), "inner words", id="as JSON"),
        pytest.param((Answer('{"response": ["x"]}'), Answer("later")), "later", id="as JSON, not a text"),
    ],
)
@pytest.mark.parametrize("agent", ["calculator", "formal"])
async def test_the_answer_is_what_the_agent_takes_for_it(client, model, key, agent, answers, said):
    if agent == "formal" and said == "two":
        pytest.skip("it takes one call only")
    model.script(key, *answers, Answer("More."))
    events = await collect(await client.responses.create(model=agent, input=prompt(key), stream=True))
    check_sequence(events)
    response = events[-1].response
    assert (response.status, response.output_text) == ("completed", said)
    assert len(model.requests(key)) == len(answers)
    await client.responses.create(model=agent, input=prompt(key), previous_response_id=response.id)
    assert model.requests(key)[-1].texts("assistant") == [said]


async def test_an_answer_that_comes_too_early_is_dropped(client, model, key):
    model.script(
        key,
        Answer(final("At once.")),
        Answer("In words."),
        Answer(Call("add", {"a": 1, "b": 2})),
        Answer(final("3.")),
    )
    response = await client.responses.create(model="structured", input=prompt(key))
    assert [item.type for item in response.output] == ["mcp_call", "message"]
    assert response.output_text == "3."


async def test_an_answer_that_a_guard_refuses_is_dropped(client, model, key):
    model.script(key, Answer(final("My secret.")), Answer(final("Nothing.")))
    response = await client.responses.create(model="discreet", input=prompt(key))
    assert response.output_text == "Nothing."
    assert "Tell no secrets." in str(model.requests(key)[1].messages)


async def test_the_format_that_an_agent_has_its_model_write_is_not_shown(client, model, key, page):
    called = json.dumps({"path": str(page), "item": "tea"})
    model.script(
        key,
        Answer(f"Thought: I look.\nFunction Name: look\nFunction Input: {called}\n"),
        Answer("Thought: I know.\n", "Final ", "Answer: It ", "costs\n", "3."),
    )
    events = await collect(await client.responses.create(model="react", input=prompt(key), stream=True))
    check_sequence(events)
    assert text_of(events) == events[-1].response.output_text == "It costs\n3."
    assert len([event for event in events if event.type == "response.output_text.delta"]) > 1
    assert [item.type for item in events[-1].response.output] == ["mcp_call", "message"]


async def test_a_text_that_is_not_of_the_format_is_the_answer(client, model, key):
    model.script(key, Answer("It ", "costs 3."))
    response = await client.responses.create(model="react", input=prompt(key))
    assert response.output_text == "It costs 3."


async def test_a_call_beside_one_of_the_clients_is_made(client, model, key):
    tool = {"type": "function", "name": "locate", "parameters": {"type": "object", "properties": {}}}
    model.script(key, Answer(Call("locate", {}), Call("add", {"a": 1, "b": 2})), Answer("Three, here."))
    response = await client.responses.create(model="calculator", input=prompt(key), tools=[tool])
    assert [call.output for call in items_of(response, "mcp_call")] == ["3.0"]
    (call,) = items_of(response, "function_call")
    assert len(model.requests(key)) == 1
    located = {"type": "function_call_output", "call_id": call.call_id, "output": "here"}
    done = await client.responses.create(
        model="calculator", input=[located], tools=[tool], previous_response_id=response.id
    )
    assert done.output_text == "Three, here."
    assert sorted(model.requests(key)[1].texts("tool")) == ["3.0", "here"]


async def test_what_the_agent_requires_stays_required(client, model, key):
    model.script(key, Answer(Call("add", {"a": 1, "b": 2})), Answer(final("Three.")))
    response = await client.responses.create(model="structured", input=prompt(key), instructions="In Latin.")
    assert response.output_text == "Three."
    first, second = (request.body for request in model.requests(key))
    assert first["tool_choice"] == {"type": "function", "function": {"name": "add"}}
    assert second["tool_choice"] != first["tool_choice"]
    assert any("In Latin." in text for text in model.requests(key)[0].texts("system"))


async def test_an_agent_that_hands_off_shows_the_others_tools_and_its_answer_as_the_result(
    client, stack, model, key
):
    model.script(
        key,
        Answer(Call("researcher", {"task": prompt(key, "Add.")})),
        Answer(Call("add", {"a": 4, "b": 5})),
        Answer("Nine."),
        Answer(final("It is nine.")),
    )
    response = await client.responses.create(model="chief", input=prompt(key))
    outputs = {call.name: call.output for call in items_of(response, "mcp_call")}
    assert outputs == {"researcher": "Nine.", "add": "9.0"}
    assert response.output_text == "It is nine."
    assert steps_of(stack, response.id) == ["Chief", "Researcher", "Researcher", "Chief"]


async def test_a_workflow_shows_its_agents_one_after_the_other(client, stack, model, key):
    notes = f"Two [[{key}]]."
    model.script(key, Answer(Call("add", {"a": 1, "b": 1})), Answer(notes), Answer(final("A text of two.")))
    events = await collect(await client.responses.create(model="crew", input=prompt(key), stream=True))
    check_sequence(events)
    response = events[-1].response
    texts = [item.content[0].text for item in items_of(response, "message")]
    assert texts == [notes, "A text of two."]
    assert steps_of(stack, response.id) == ["Researcher", "Researcher", "Writer"]


async def test_the_last_agent_of_a_workflow_alone_is_asked_for_the_form_of_the_answer(client, model, key):
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    model.script(key, Answer(f"Notes [[{key}]]."), Answer(Call("final_answer", {"city": "Oslo"})))
    asked = {"format": {"type": "json_schema", "name": "place", "schema": schema}}
    response = await client.responses.create(model="crew", input=prompt(key), text=asked)
    assert json.loads(response.output_text) == {"city": "Oslo"}, response.error
    first, last = model.requests(key)
    assert shapes_of([first]) == [None]
    assert [tool["function"]["parameters"]["required"] for tool in last.body["tools"]] == [["city"]]


async def test_a_function_of_several_agents_shows_each(client, model, key):
    notes = f"Notes [[{key}]]."
    model.script(key, Answer(notes), Answer("A text."))
    response = await client.responses.create(model="relay", input=prompt(key))
    assert [item.content[0].text for item in items_of(response, "message")] == [notes, "A text."]


@pytest.mark.parametrize("approve", [True, False])
async def test_a_permission_is_asked_of_the_turn(client, model, key, page, approve):
    model.script(key, Answer(write(page, "one")), Answer(final("Well.")))
    asked = await client.responses.create(model="careful", input=prompt(key))
    (request,) = items_of(asked, "mcp_approval_request")
    assert json.loads(request.arguments)["data"]["input"]["line"] == "one"
    # The client is asked in place of the call that asks.
    assert items_of(asked, "mcp_call") == []
    done = await answer(client, asked, request, approve=approve)
    assert (done.output_text, page.exists()) == ("Well.", approve)
    (call,) = items_of(done, "mcp_call")
    assert ("wrote one" if approve else "not allowed") in call.output
    assert len(model.requests(key)) == 2


async def test_a_tool_is_told_what_the_person_says(client, model, key, page):
    model.script(key, Answer(Call("publish", {"path": str(page), "line": "one"})), Answer(final("Not yet.")))
    asked = await client.responses.create(model="asking", input=prompt(key))
    (request,) = items_of(asked, "mcp_approval_request")
    assert json.loads(request.arguments) == {"message": "Publish 'one'?"}
    await answer(client, asked, request, approve=False, reason="Shorter!")
    assert model.requests(key)[1].texts("tool") == ["They said: Shorter!"]


async def test_twenty_turns_of_one_workflow(client, model, key):
    gate = Gate()
    for number in range(20):
        one = f"{key}-{number}"
        model.script(one, Answer(gate, f"Notes {number} [[{one}]]."), Answer(final(f"Text {number}.")))
    turns = [
        asyncio.create_task(client.responses.create(model="crew", input=prompt(f"{key}-{number}")))
        for number in range(20)
    ]
    for number in range(20):
        await model.request(f"{key}-{number}")
    gate.open()
    for number, response in enumerate(await asyncio.gather(*turns)):
        assert response.output_text == f"Notes {number} [[{key}-{number}]].Text {number}."


async def test_a_workflow_survives_the_end_of_its_worker(lab, client, model, key, page):
    gate = Gate()
    notes = f"Notes [[{key}]]."
    model.script(key, Answer(write(page, "one")), Answer(notes), Answer(gate, FOREVER), Answer(final("A text.")))
    turn = await client.responses.create(model="crew", input=prompt(key), background=True)
    reading = asyncio.create_task(collect(await client.responses.retrieve(turn.id, stream=True)))
    await gate.reached()
    await lab.kill_worker_of(turn.id)
    events = await reading
    check_sequence(events)
    assert events[-1].response.status == "completed"
    assert text_of(events) == f"{notes}A text."
    assert len(page.read_text().splitlines()) == 1
    # Two were recorded, one was cut off, one came after.
    assert len(model.requests(key)) == 4
