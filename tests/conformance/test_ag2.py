"""AG2's agents that work for or with others, and what they ask of people."""

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
    steps_of,
    text_of,
    write,
)
from tests.scripted import FOREVER, Answer, Call, Gate

pytestmark = pytest.mark.parametrize("framework", ["ag2"], indirect=True, scope="session")


def publish(page, line):
    return Call("publish", {"path": str(page), "line": line})


async def test_an_agent_that_is_a_tool_shows_its_tools_and_its_answer_as_the_result(client, stack, model, key):
    model.script(
        key,
        Answer("I'll ask. ", Call("task_researcher", {"objective": prompt(key, "Add.")})),
        Answer(Call("add", {"a": 4, "b": 5})),
        Answer("Nine."),
        Answer("It is nine."),
    )
    events = await collect(await client.responses.create(model="chief", input=prompt(key), stream=True))
    check_sequence(events)
    response = events[-1].response
    outputs = {call.name: call.output for call in items_of(response, "mcp_call")}
    assert outputs == {"task_researcher": "Nine.", "add": "9.0"}
    assert text_of(events) == "I'll ask. It is nine."
    assert steps_of(stack, response.id) == ["chief", "researcher", "researcher", "chief"]


async def test_subtasks_that_an_agent_makes_run_at_the_same_time(client, model, key):
    gate = Gate()
    tasks = [prompt(f"{key}-{number}", "Add.") for number in range(2)]
    model.script(key, Answer(Call("run_subtasks", {"tasks": tasks, "parallel": True})), Answer("Both."))
    for number in range(2):
        model.script(f"{key}-{number}", Answer(gate, Call("add", {"a": number, "b": 1})), Answer("Done."))
    turn = asyncio.create_task(client.responses.create(model="foreman", input=prompt(key)))
    for number in range(2):
        await model.request(f"{key}-{number}")
    gate.open()
    response = await turn
    assert response.output_text == "Both."
    calls = items_of(response, "mcp_call")
    assert sorted(call.output for call in calls if call.name == "add") == ["1.0", "2.0"]


async def test_a_function_of_several_agents_shows_each(client, stack, model, key):
    notes = f"Two [[{key}]]."
    model.script(key, Answer(Call("add", {"a": 1, "b": 1})), Answer(notes), Answer("A text ", "of two."))
    events = await collect(await client.responses.create(model="relay", input=prompt(key), stream=True))
    check_sequence(events)
    response = events[-1].response
    texts = [item.content[0].text for item in items_of(response, "message")]
    assert texts == [notes, "A text of two."]
    assert [e.delta for e in events if e.type == "response.output_text.delta"][-2:] == ["A text ", "of two."]
    assert steps_of(stack, response.id) == ["researcher", "researcher", "writer"]


async def test_a_network_shows_each_of_its_agents(client, stack, model, key):
    model.script(key, Answer(f"A draft [[{key}]]."), Answer("A better ", "one."))
    response = await client.responses.create(model="panel", input=prompt(key))
    texts = [item.content[0].text for item in items_of(response, "message")]
    assert texts == [f"A draft [[{key}]].", "A better one."]
    assert steps_of(stack, response.id) == ["drafter", "editor"]


@pytest.mark.parametrize(
    ("end", "told"),
    [
        ("leave", "SystemExit: 3"),
        ("group", "BaseExceptionGroup: two ends"),
        ("cancel", "cancelled it"),
        ("close", "GeneratorExit"),
    ],
)
async def test_what_ends_an_agent_of_a_network_ends_the_turn(client, key, end, told):
    turn = await client.responses.create(model="broken-panel", input=f"{end} {prompt(key)}", background=True)
    response = await ended(client, turn.id)
    assert response.status == "failed"
    assert told in response.error.message


async def test_twenty_networks_at_once(client, model, key):
    gate = Gate()
    for number in range(20):
        one = f"{key}-{number}"
        model.script(one, Answer(gate, f"Draft {number} [[{one}]]."), Answer(f"Text {number}."))
    turns = [
        asyncio.create_task(client.responses.create(model="panel", input=prompt(f"{key}-{number}")))
        for number in range(20)
    ]
    for number in range(20):
        await model.request(f"{key}-{number}")
    gate.open()
    for number, response in enumerate(await asyncio.gather(*turns)):
        assert response.output_text == f"Draft {number} [[{key}-{number}]].Text {number}."


async def test_a_tool_asks_a_person_in_place_of_the_agents_hook(client, model, key, page):
    model.script(key, Answer(publish(page, "one")), Answer("Published."))
    asked = await client.responses.create(model="asking", input=prompt(key))
    (request,) = items_of(asked, "mcp_approval_request")
    assert (request.name, json.loads(request.arguments)) == ("input", {"message": "Publish 'one'?"})
    # The client is asked in place of the call that asks.
    assert items_of(asked, "mcp_call") == []
    done = await answer(client, asked, request, approve=True)
    assert [call.output for call in items_of(done, "mcp_call")] == ["wrote one"]
    assert done.output_text == "Published."
    assert len(model.requests(key)) == 2


async def test_a_tool_is_told_what_the_person_says(client, model, key, page):
    model.script(key, Answer(publish(page, "one")), Answer("Not yet."))
    asked = await client.responses.create(model="asking", input=prompt(key))
    (request,) = items_of(asked, "mcp_approval_request")
    await answer(client, asked, request, approve=False, reason="Shorter!")
    assert model.requests(key)[1].texts("tool") == ["They said: Shorter!"]
    assert not page.exists()


async def test_a_tool_of_an_agent_that_is_a_tool_asks(client, model, key, page):
    model.script(
        key,
        Answer(Call("task_publisher", {"objective": prompt(key)})),
        Answer(publish(page, "one"), publish(page, "two")),
        Answer("Both."),
        Answer("Published."),
    )
    asked = await client.responses.create(model="editor", input=prompt(key))
    requests = items_of(asked, "mcp_approval_request")
    messages = [json.loads(request.arguments)["message"] for request in requests]
    assert sorted(messages) == ["Publish 'one'?", "Publish 'two'?"]
    asked = await answer(client, asked, requests[0], approve=True)
    (request,) = items_of(asked, "mcp_approval_request")
    done = await answer(client, asked, request, approve=True)
    assert done.output_text == "Published."
    assert {call.name: call.output for call in items_of(done, "mcp_call")}["task_publisher"] == "Both."
    assert sorted(line.split()[0] for line in page.read_text().splitlines()) == ["one", "two"]
    assert len(model.requests(key)) == 4


@pytest.mark.parametrize("approve", [True, False])
async def test_ag2s_approval_is_a_question_about_the_call(client, model, key, page, approve):
    model.script(key, Answer(write(page, "one")), Answer("Well."))
    asked = await client.responses.create(model="careful", input=prompt(key))
    (request,) = items_of(asked, "mcp_approval_request")
    assert (request.name, json.loads(request.arguments)["line"]) == ("write", "one")
    done = await answer(client, asked, request, approve=approve)
    assert (done.output_text, page.exists()) == ("Well.", approve)
    assert [call.output for call in items_of(done, "mcp_call")] == (["wrote one"] if approve else [])


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (["card ", "4111 ok"], "card **** ok"),
        (["Draft one"], "A good one."),
        (["Bye."], "Goodbye."),
        (["Take it again."], "A good one."),
    ],
)
async def test_what_middleware_makes_of_an_answer_is_the_answer(client, model, key, said, answer, stream):
    model.script(key, Answer(*said), Answer("A good one."), Answer("Next."))
    response = await client.responses.create(model="filtered", input=prompt(key), stream=stream)
    if stream:
        events = await collect(response)
        check_sequence(events)
        response = events[-1].response
    assert [item.content[0].text for item in items_of(response, "message")] == [answer]
    model.script(f"{key}-next", Answer("Next."))
    await client.responses.create(model="filtered", input=prompt(f"{key}-next"), previous_response_id=response.id)
    assert model.requests(f"{key}-next")[0].texts("assistant") == [answer]


@pytest.mark.parametrize(("said", "answer"), [("Here: ", "Here: [image][file]"), ("", "[image][file]")])
async def test_a_file_in_an_answer_has_a_mark_in_its_place(client, model, key, said, answer):
    model.script(key, Answer(said))
    events = await collect(await client.responses.create(model="painter", input=prompt(key), stream=True))
    check_sequence(events)
    assert events[-1].response.status == "completed", events[-1].response.error
    assert [item.content[0].text for item in items_of(events[-1].response, "message")] == [answer]


async def test_words_beside_a_call_are_replaced_in_their_place(client, model, key):
    model.script(key, Answer("4111 it is. ", Call("add", {"a": 1, "b": 2})), Answer("Three."))
    response = await client.responses.create(model="filtered", input=prompt(key))
    assert [item.type for item in response.output] == ["message", "mcp_call", "message"]
    assert response.output_text == "**** it is. Three."


async def test_an_agent_that_judges_an_answer_says_nothing_of_it(client, stack, model, key):
    model.script(key, Answer(f"Bad words [[{key}]]."), Answer("Not fine."))
    response = await client.responses.create(model="judged", input=prompt(key))
    assert response.output_text == "I cannot say."
    assert len(items_of(response, "message")) == 1
    assert steps_of(stack, response.id) == ["speaker", "judge"]


@pytest.mark.parametrize("agent", ["filtered", "filtered-asking"])
@pytest.mark.parametrize(
    ("line", "told"), [("one", "blocked by policy"), ("secret", "PermissionError: no secrets")]
)
async def test_a_call_that_middleware_refuses_does_not_end_the_turn(client, model, key, page, agent, line, told):
    model.script(key, Answer(write(page, line)), Answer("Done."))
    response = await client.responses.create(model=agent, input=prompt(key))
    assert (response.status, response.output_text) == ("completed", "Done."), response.error
    (call,) = items_of(response, "mcp_call")
    assert told in (str(call.error) if line == "secret" else call.output)
    assert model.requests(key)[1].texts("tool") == [told]
    assert not page.exists()


@pytest.mark.parametrize("agent", ["filtered", "filtered-asking"])
async def test_a_call_that_middleware_takes_out_of_an_answer_is_not_there(client, model, key, agent):
    model.script(key, Answer("I try. ", Call("fail", {"reason": "none"})))
    response = await client.responses.create(model=agent, input=prompt(key))
    assert (response.status, response.output_text) == ("completed", "I will not."), response.error
    assert [item.type for item in response.output] == ["message"]


async def test_what_an_agent_is_to_say_again_is_not_in_a_response_that_waits(client, model, key):
    model.script(
        key, Answer("Take it again."), Answer("I add.", Call("add", {"a": 1, "b": 2})), Answer("A good one.")
    )
    asked = await client.responses.create(model="filtered-asking", input=prompt(key))
    (request,) = items_of(asked, "mcp_approval_request")
    assert [item.content[0].text for item in items_of(asked, "message")] == ["I add."]
    done = await answer(client, asked, request, approve=True)
    assert [item.content[0].text for item in items_of(done, "message")] == ["A good one."]


async def test_a_call_is_shown_with_what_middleware_makes_of_its_result(client, model, key):
    told = ["fine now", "product: 6"]
    model.script(key, Answer(Call("flaky", {"key": key}), Call("multiply", {"a": 2, "b": 3})), Answer("Done."))
    events = await collect(await client.responses.create(model="filtered", input=prompt(key), stream=True))
    check_sequence(events)
    calls = items_of(events[-1].response, "mcp_call")
    assert sorted((call.output, call.error) for call in calls) == [(text, None) for text in told]
    assert sorted(model.requests(key)[1].texts("tool")) == told


LOCATE = {
    "type": "function",
    "name": "locate",
    "parameters": {"type": "object", "properties": {"who": {"type": "string"}}},
}


async def test_a_client_s_call_that_middleware_refuses_is_not_handed_to_it(client, model, key):
    model.script(key, Answer(Call("locate", {"who": "me"})), Answer("I may not."))
    response = await client.responses.create(model="filtered", input=prompt(key), tools=[LOCATE])
    assert [item.type for item in response.output] == ["message"]
    assert model.requests(key)[1].texts("tool") == ["not allowed"]


async def test_a_client_s_call_comes_as_middleware_lets_it_pass(client, model, key):
    model.script(key, Answer("I look. ", Call("locate", {"who": "you"})))
    events = await collect(
        await client.responses.create(model="filtered", input=prompt(key), tools=[LOCATE], stream=True)
    )
    check_sequence(events)
    response = events[-1].response
    assert [item.type for item in response.output] == ["message", "function_call"]
    assert json.loads(response.output[1].arguments) == {"who": "nobody"}


async def test_networks_and_what_middleware_dropped_survive_the_end_of_their_worker(lab, client, model, key):
    gates, other = (Gate(), Gate()), f"{key}-other"
    model.script(key, Answer(f"A draft [[{key}]]."), Answer("A te", gates[0], FOREVER), Answer("A text."))
    model.script(other, Answer("Draft one"), Answer("A go", gates[1], FOREVER), Answer("A good one."))
    turns = [
        await client.responses.create(model=agent, input=prompt(script), background=True)
        for agent, script in (("panel", key), ("filtered", other))
    ]
    reading = [
        asyncio.create_task(collect(await client.responses.retrieve(turn.id, stream=True))) for turn in turns
    ]
    for gate in gates:
        await gate.reached()
    await lab.kill_worker_of(turns[0].id)
    for events, said in zip(
        await asyncio.gather(*reading), ([f"A draft [[{key}]].", "A text."], ["A good one."]), strict=True
    ):
        check_sequence(events)
        response = events[-1].response
        assert response.status == "completed"
        assert [item.content[0].text for item in items_of(response, "message")] == said
    # One was recorded, one was cut off, one came after.
    assert [len(model.requests(script)) for script in (key, other)] == [3, 3]


async def test_a_call_finds_what_those_before_it_left_in_the_context(lab, client, model, key, page):
    sign = Call("sign", {"path": str(page)})
    model.script(
        key,
        Answer(Call("login", {"user": "Ada"}), Call("brief", {"line": "Be short."})),
        Answer(Call("allow", {"right": "write"})),
        Answer(Call("allow", {"right": "write"})),
        Answer(sign),
        Answer("Signed."),
    )
    asked = await client.responses.create(model="stateful", input=prompt(key))
    # Another process, which has nothing of the context.
    await lab.kill_worker_of(asked.id)
    (request,) = items_of(asked, "mcp_approval_request")
    done = await answer(client, asked, request, approve=True)
    assert done.output_text == "Signed.", done.error
    assert page.read_text().split(" resp_")[0] == "Ada ['read', 'write'] 1 None"
    requests = model.requests(key)
    assert len(requests) == 5
    assert [[text for text in each.texts("user") if "Mind" in text] for each in requests[1:]] == [
        ["Mind: Be short."]
    ] * 4
    assert all("Be short." in each.texts("system")[-1] for each in requests[1:])


def scouted(key, *asked):
    """A call that has an agent work in the background, and what that agent's model says before it is heard."""
    calls = [Call("background_task_scout", {"objective": prompt(f"{key}-in")}), *asked]
    return Answer(*calls), f"{key}-in"


async def test_an_agent_in_the_background_is_heard_however_late_it_is(client, model, key):
    begin, inside = scouted(key)
    gate = Gate()
    model.script(key, begin, Answer("Waiting."))
    model.script(inside, Answer(gate, Call("add", {"a": 1, "b": 2})), Answer("It is 3."), Answer("He says 3."))
    turn = asyncio.create_task(client.responses.create(model="lead", input=prompt(key)))
    await gate.reached()
    # The agent is done before the one in the background.
    await model.request(key, 1)
    gate.open()
    response = await turn
    assert response.output_text == "Waiting.He says 3.", response.error
    assert [call.name for call in items_of(response, "mcp_call")] == ["background_task_scout", "add"]
    heard = model.requests(inside)[-1].texts("user")[-1]
    assert heard.startswith("Background task ")
    assert heard.endswith("completed:\nIt is 3.")
    # The id that the model was told.
    assert heard.split()[2] == items_of(response, "mcp_call")[0].output.rsplit(" ", 1)[1]


async def test_what_fails_an_agent_in_the_background_is_heard(client, model, key):
    begin, inside = scouted(key)
    model.script(key, begin, Answer("Waiting."))
    model.script(inside, Answer(Call("fail", {"reason": "broken"})), Answer("It broke."), Answer("He says so."))
    response = await client.responses.create(model="lead", input=prompt(key))
    assert response.output_text == "Waiting.He says so.", response.error


@pytest.mark.parametrize("also", [False, True])
async def test_an_agent_in_the_background_asks_a_person_and_goes_on(lab, client, model, key, page, also):
    begin, inside = scouted(key, *([write(page, "two")] if also else []))
    model.script(key, begin, Answer("Waiting."))
    model.script(inside, Answer(write(page, "one")), Answer("Written."), Answer("He has written."))
    asked = await client.responses.create(model="lead-asking", input=prompt(key))
    await lab.kill_worker_of(asked.id)
    done, said, lines = asked, "", []
    # Which of the two asks first, or whether both do at once, is not told.
    while requests := items_of(done, "mcp_approval_request"):
        lines.append(json.loads(requests[0].arguments)["line"])
        done = await answer(client, done, requests[0], approve=True)
        said += done.output_text
    assert said == ("Waiting.He has written." if also else "He has written."), done.error
    assert sorted(lines) == ["one", "two"][: 1 + also]
    assert sorted(line.split()[0] for line in page.read_text().splitlines()) == sorted(lines)
    assert [len(model.requests(script)) for script in (key, inside)] == [2, 3]


async def test_an_agent_in_the_background_survives_the_end_of_its_worker(lab, client, model, key, page):
    begin, inside = scouted(key)
    gate = Gate()
    model.script(key, begin, Answer("Waiting."))
    model.script(
        inside, Answer(write(page, "one")), Answer("Written."), Answer("He ", gate, FOREVER), Answer("He has.")
    )
    turn = await client.responses.create(model="lead", input=prompt(key), background=True)
    reading = asyncio.create_task(collect(await client.responses.retrieve(turn.id, stream=True)))
    await gate.reached()
    await lab.kill_worker_of(turn.id)
    events = await reading
    check_sequence(events)
    response = events[-1].response
    assert response.output_text == "Waiting.He has.", response.error
    assert [call.name for call in items_of(response, "mcp_call")] == ["background_task_scout", "write"]
    assert len(page.read_text().splitlines()) == 1
    assert [len(model.requests(script)) for script in (key, inside)] == [2, 4]
