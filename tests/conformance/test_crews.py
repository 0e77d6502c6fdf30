"""CrewAI's crews and flows: what of their agents is shown, what they are given, and that they survive a kill."""

import asyncio
import json
from datetime import datetime

import pytest

from k8gentai.stack.conformance.tools import PIXEL
from tests.conformance.guarded import agent_id
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

_PLAN = '{"list_of_plans_per_task": [{"task_number": 1, "task": "Write.", "plan": "Write it."}]}'

pytestmark = pytest.mark.parametrize("framework", ["crewai"], indirect=True, scope="session")


async def test_what_an_agent_says_that_works_for_a_tool_is_that_tools_result(client, stack, model, key):
    call = Call("ask_writer", {"question": prompt(key)})
    model.script(key, Answer(call), Answer("Rather not."), Answer("Done."))
    ended = await client.responses.create(model=agent_id("in_tool"), input=prompt(key))
    assert [item.type for item in ended.output] == ["mcp_call", "message"], ended.error
    assert (ended.output[0].output, ended.output_text) == ("Rather not.", "Done.")
    assert steps_of(stack, ended.id) == ["Chief", "Writer", "Chief"]


async def test_the_last_task_of_a_crew_alone_is_asked_for_the_form_of_the_answer(client, model, key):
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    model.script(key, Answer(f"Notes [[{key}]]."), Answer('{"city": "Oslo"}'))
    asked = {"format": {"type": "json_schema", "name": "place", "schema": schema}}
    response = await client.responses.create(model="sequential", input=prompt(key), text=asked)
    assert response.output_text == '{"city": "Oslo"}', response.error
    assert shapes_of(model.requests(key)) == [None, "place"]


@pytest.mark.parametrize("wrong", [False, True])
async def test_so_is_the_one_before_it_where_the_last_one_may_be_skipped(client, model, key, wrong):
    texts = ['{"city": "wrong"}', '{"city": "Oslo"}'] if wrong else ['{"city": "Oslo"}']
    model.script(key, Answer(f"Notes [[{key}]]."), *map(Answer, texts))
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    asked = {"format": {"type": "json_schema", "name": "place", "schema": schema}}
    response = await client.responses.create(model="corrected", input=prompt(key), text=asked)
    assert response.status == "completed", response.error
    assert response.output[-1].content[0].text == '{"city": "Oslo"}'
    assert shapes_of(model.requests(key)) == [None, *("place" for _ in texts)]


async def test_a_sequential_crew_shows_its_agents_one_after_the_other(client, stack, model, key):
    model.script(
        key,
        Answer("Let me ", "add. ", Call("add", {"a": 1, "b": 2})),
        Answer("Notes: ", "3."),
        Answer("A text ", "about 3."),
    )
    events = await collect(await client.responses.create(model="sequential", input=prompt(key), stream=True))
    check_sequence(events)
    response = events[-1].response
    texts = [item.content[0].text for item in items_of(response, "message")]
    assert texts == ["Let me add. ", "Notes: 3.", "A text about 3."]
    assert text_of(events) == "".join(texts)
    assert [e.delta for e in events if e.type == "response.output_text.delta"][-2:] == ["A text ", "about 3."]
    (call,) = items_of(response, "mcp_call")
    assert float(call.output) == 3
    assert steps_of(stack, response.id) == ["Researcher", "Researcher", "Writer"]
    assert "Notes: 3." in model.requests(key)[2].texts("user")[-1]


async def test_an_exit_of_a_task_beside_others_fails_the_turn(client, model, key):
    model.script(key, Answer("Notes."))
    turn = await client.responses.create(model="leaving-beside", input=prompt(key), background=True)
    response = await ended(client, turn.id)
    assert response.status == "failed"
    assert "SystemExit: 6" in response.error.message


async def test_an_image_is_refused_by_a_flow_that_has_no_place_for_it(client, key):
    words, image = {"type": "input_text", "text": prompt(key)}, {"type": "input_image", "image_url": PIXEL}
    response = await client.responses.create(model="loose", input=[{"role": "user", "content": [words, image]}])
    assert (response.status, response.error.code) == ("failed", "invalid_prompt")
    assert response.error.message.startswith("input[0].content[1]: ")


async def test_instructions_are_refused_by_a_flow_that_would_not_know_them(client, key):
    response = await client.responses.create(model="report", input=prompt(key), instructions="Be brief.")
    assert (response.status, response.error.code) == ("failed", "invalid_prompt")
    assert response.error.message.startswith("instructions: ")


async def test_a_hierarchical_crew_delegates_through_the_boundary(client, stack, model, key):
    order = {"task": prompt(key, "Add."), "context": "None", "coworker": "Mathematician"}
    model.script(
        key,
        Answer(Call("delegate_work_to_coworker", order)),
        Answer(Call("add", {"a": 4, "b": 5})),
        Answer("Nine."),
        Answer("The answer is nine."),
    )
    response = await client.responses.create(model="hierarchical", input=prompt(key))
    assert response.status == "completed"
    assert {call.name: call.output for call in items_of(response, "mcp_call")} == {
        "delegate_work_to_coworker": "Nine.",
        "add": "9.0",
    }
    assert items_of(response, "message")[-1].content[0].text == "The answer is nine."
    assert steps_of(stack, response.id) == ["Crew Manager", "Mathematician", "Mathematician", "Crew Manager"]


async def test_a_flow_shows_its_agents_and_the_models_it_calls_itself(client, stack, model, key):
    model.script(key, Answer(Call("add", {"a": 1, "b": 1})), Answer("Two."), Answer("A text ", "about two."))
    response = await client.responses.create(model="report", input=prompt(key))
    texts = [item.content[0].text for item in items_of(response, "message")]
    assert texts == ["Two.", "A text about two."]
    assert steps_of(stack, response.id) == ["Reader", "Reader", "write"]


async def test_an_answer_that_was_said_before_is_the_last_message(client, model, key):
    model.script(key, Answer("A draft."), Answer("Good enough."))
    response = await client.responses.create(model="judged", input=prompt(key))
    texts = [item.content[0].text for item in items_of(response, "message")]
    assert texts == ["Good enough.", "A draft."]


async def test_an_answer_no_model_said_is_the_last_message(client, model):
    response = await client.responses.create(model="loose", input="Louder.")
    assert response.output_text == "LOUDER."


@pytest.mark.parametrize(
    "plan",
    [
        Answer("A plan. READY: I am ready to execute the task."),
        Answer(Call("create_reasoning_plan", {"plan": "A plan.", "ready": True, "steps": []})),
    ],
    ids=["text", "call"],
)
async def test_a_plan_is_a_step_without_text(client, stack, model, key, plan):
    model.script(key, plan, Answer("Done."))
    events = await collect(await client.responses.create(model="thoughtful", input=prompt(key), stream=True))
    response = events[-1].response
    assert [item.type for item in response.output] == ["message"], response.error
    assert text_of(events) == "Done."
    assert "A plan." not in str(events)
    assert steps_of(stack, response.id) == ["Thinker", "Thinker"]


@pytest.mark.parametrize(
    ("agent", "first", "second"),
    [("planned", _PLAN, None), ("polite", None, '{"valid": true, "feedback": null}')],
    ids=["plan", "verdict"],
)
async def test_what_crewai_asks_for_itself_is_no_part_of_the_answer(client, model, key, agent, first, second):
    said = f"Done [[{key}]]."
    model.script(key, Answer(first or said), Answer(second or said))
    response = await client.responses.create(model=agent, input=prompt(key))
    assert [item.type for item in response.output] == ["message"], response.error
    assert response.output_text == said
    assert len(model.requests(key)) == 2


async def test_what_a_guardrail_turned_down_or_took_out_is_not_in_the_answer(client, model, key):
    model.script(key, Answer("A draft."), Answer("Card 4111."), Answer("I see."))
    first = await client.responses.create(model="redacting", input=prompt(key))
    assert [item.content[0].text for item in items_of(first, "message")] == ["Card ****."]
    await client.responses.create(model="redacting", input=prompt(key), previous_response_id=first.id)
    assert "Card ****." in str(model.requests(key)[2].messages)
    assert "4111" not in str(model.requests(key)[2].messages)


async def test_what_a_guardrail_turned_down_is_not_in_a_response_that_waits(client, model, key, page):
    model.script(key, Answer("A draft."), Answer("I shall write.", write(page, "one")), Answer("Card 4111."))
    asked = await client.responses.create(model="checked", input=prompt(key))
    (request,) = items_of(asked, "mcp_approval_request")
    assert [item.content[0].text for item in items_of(asked, "message")] == ["I shall write."]
    done = await answer(client, asked, request, approve=True)
    assert [item.content[0].text for item in items_of(done, "message")] == ["Card ****."]


async def test_the_text_of_a_call_that_waits_is_no_message(client, model, key, page):
    arguments = json.dumps({"path": str(page), "line": "one"})
    called = f"Thought: I write.\nAction: write\nAction Input: {arguments}\n"
    model.script(key, Answer(called), Answer("Thought: It is done.\nFinal Answer: Done."))
    asked = await client.responses.create(model=agent_id("written"), input=prompt(key))
    assert [item.type for item in asked.output] == ["mcp_approval_request"]
    done = await answer(client, asked, asked.output[0], approve=True)
    assert [item.content[0].text for item in items_of(done, "message")] == ["Done."]


async def test_what_a_flow_returns_is_the_last_message_whatever_was_said_before(client, model, key):
    model.script(key, Answer("Result: 15"))
    response = await client.responses.create(model="short", input=prompt(key))
    assert [item.content[0].text for item in items_of(response, "message")] == ["Result: 15", "5"]


async def test_what_a_task_came_to_stays_where_the_next_comes_to_a_tools_result(client, model, key):
    model.script(key, Answer("A text."), Answer(Call("add", {"a": 1, "b": 2})))
    response = await client.responses.create(model="summing", input=prompt(key))
    assert [item.content[0].text for item in items_of(response, "message")] == ["A text.", "3.0"]


async def test_agents_of_one_role_at_the_same_time_keep_their_answers(client, model, key):
    gate = Gate()
    model.script(key, Answer("One", gate, "."), Answer("Two", gate, "."))
    asking = asyncio.create_task(client.responses.create(model="poets", input=prompt(key)))
    for number in range(2):
        await model.request(key, number)
    gate.open()
    texts = [item.content[0].text for item in items_of(await asking, "message")]
    assert (sorted(texts[:2]), texts[2:]) == (["One.", "Two."], ["One. Two."])


async def test_a_class_of_the_project_template(client, model, key):
    model.script(key, Answer("Done."))
    response = await client.responses.create(model="project", input=prompt(key))
    assert response.output_text == "Done."


async def test_a_message_that_is_a_json_object_names_the_inputs(client, model, key):
    given = json.dumps({"topic": f"the moon [[{key}]]", "year": 1969})
    response = await client.responses.create(model="two-inputs", input=given)
    assert response.status == "completed"
    assert f"Write about the moon [[{key}]] in 1969." in model.requests(key)[0].texts("user")[0]


async def test_inputs_that_are_not_named_are_asked_for(client):
    response = await client.responses.create(model="two-inputs", input="The moon.")
    assert response.status == "failed"
    assert response.error.reason == "invalid_request"
    assert "topic, year" in response.error.message


async def test_a_crew_without_a_place_for_it_is_told_the_request_and_what_was_said(client, model, key):
    model.script(key, Answer("One."), Answer("Two."))
    first = await client.responses.create(model="unaware", input=prompt(key, "A {b} c."))
    await client.responses.create(
        model="unaware", input=prompt(key, "And now?"), previous_response_id=first.id, instructions="In Latin."
    )
    said = model.requests(key)[1].texts("user")[-1]
    for part in ("Do your work.", "And now?", "In Latin.", "A {b} c.", "assistant: One."):
        assert part in said


async def test_a_task_asks_a_person_until_they_are_content(client, model, key):
    model.script(key, Answer("A text."), Answer("A better text."))
    asked = await client.responses.create(model="asking", input=prompt(key))
    (request,) = items_of(asked, "mcp_approval_request")
    assert json.loads(request.arguments)["result"] == "A text."
    asked = await answer(client, asked, request, approve=False, reason="Longer!")
    (request,) = items_of(asked, "mcp_approval_request")
    assert json.loads(request.arguments)["result"] == "A better text."
    assert items_of(asked, "message")[-1].content[0].text == "A better text."
    assert any("Longer!" in text for text in model.requests(key)[1].texts("user"))
    done = await answer(client, asked, request, approve=True)
    assert done.status == "completed"
    assert len(model.requests(key)) == 2


async def test_a_flow_asks_a_person(client, model):
    asked = await client.responses.create(model="curious", input="Hello.")
    (request,) = items_of(asked, "mcp_approval_request")
    assert json.loads(request.arguments) == {"message": "Your name?"}
    done = await answer(client, asked, request, approve=True, reason="Ada")
    assert done.output_text == "Hello, Ada."


async def test_twenty_turns_of_one_crew(client, model, key):
    gate = Gate()
    for number in range(20):
        model.script(f"{key}-{number}", Answer(gate, f"Notes {number}."), Answer(f"Text {number}."))

    async def ask(number):
        return await client.responses.create(model="sequential", input=prompt(f"{key}-{number}"))

    turns = [asyncio.create_task(ask(number)) for number in range(20)]
    for number in range(20):
        await model.request(f"{key}-{number}")
    gate.open()
    for number, response in enumerate(await asyncio.gather(*turns)):
        assert response.output_text == f"Notes {number}.Text {number}."
        assert f"Notes {number}." in model.requests(f"{key}-{number}")[1].texts("user")[-1]


@pytest.mark.parametrize("shared", ["sharing", "talking"])
async def test_turns_at_once_of_code_that_shares_its_agents(client, model, key, shared):
    gate = Gate()
    model.script(f"{key}-a", Answer(gate, Call("add", {"a": 1, "b": 2})), Answer("Three."))
    model.script(f"{key}-b", Answer("Nothing."))
    first = asyncio.create_task(client.responses.create(model=shared, input=prompt(f"{key}-a")))
    await model.request(f"{key}-a")
    other = await client.responses.create(model=shared, input=prompt(f"{key}-b"))
    gate.open()
    assert [r.output_text for r in (await first, other)] == ["Three.", "Nothing."]
    assert [len(model.requests(f"{key}-{part}")) for part in "ab"] == [2, 1]
    assert f"{key}-b" not in json.dumps([r.messages for r in model.requests(f"{key}-a")])
    assert f"{key}-a" not in json.dumps([r.messages for r in model.requests(f"{key}-b")])


async def test_a_turn_has_nothing_of_those_before_it(client, model, key):
    agents = ["sharing", "shared", "sharing", "shared"]
    for number, agent in enumerate(agents):
        model.script(f"{key}-{number}", Answer(f"{number}."))
        response = await client.responses.create(model=agent, input=prompt(f"{key}-{number}"))
        assert response.output_text == f"{number}."
        (request,) = model.requests(f"{key}-{number}")
        said = json.dumps(request.messages)
        assert [other for other in range(len(agents)) if f"{key}-{other}" in said] == [number]


async def test_a_crew_survives_the_end_of_its_worker(lab, client, model, key, page):
    gate = Gate()
    model.script(
        key,
        Answer(write(page, "first")),
        Answer("Notes."),
        Answer("A te", gate, FOREVER),
        Answer("A text."),
    )
    turn = await client.responses.create(model="sequential", input=prompt(key), background=True)
    reading = asyncio.create_task(collect(await client.responses.retrieve(turn.id, stream=True)))
    await gate.reached()
    await lab.kill_worker_of(turn.id)
    events = await reading
    check_sequence(events)
    assert events[-1].response.status == "completed"
    assert [i.content[0].text for i in items_of(events[-1].response, "message")] == ["Notes.", "A text."]
    assert len(page.read_text().splitlines()) == 1
    # Two were recorded, one was cut off, one came after.
    assert len(model.requests(key)) == 4


async def test_an_awaited_tool_that_a_flow_gave_up_is_given_up_again(lab, client, model, key, page):
    gate = Gate()
    model.script(key, Answer("A te", gate, FOREVER), Answer("A text."))
    given = json.dumps({"path": str(page), "said": prompt(key)})
    turn = await client.responses.create(model="hurried", input=given, background=True)
    reading = asyncio.create_task(collect(await client.responses.retrieve(turn.id, stream=True)))
    await gate.reached()
    await lab.kill_worker_of(turn.id)
    events = await reading
    check_sequence(events)
    response = events[-1].response
    assert (response.status, response.output_text) == ("completed", "A text."), response.error
    (call,) = items_of(response, "mcp_call")
    assert "the agent stopped waiting for this tool" in str(call.error)
    assert len(page.read_text().splitlines()) == 1


async def test_an_answer_that_began_first_and_ended_last_is_shown_last(client, model, key):
    gate = Gate()
    model.script(f"{key}-first", Answer("The fir", gate, "st."))
    model.script(f"{key}-second", Answer("The second."))
    given = json.dumps({name: prompt(f"{key}-{name}") for name in ("first", "second")})
    async for event in await client.responses.create(model="both", input=given, stream=True):
        if event.type == "response.output_text.done":
            gate.open()
    assert [item.content[0].text for item in event.response.output] == ["The second.", "The first."]


async def test_a_prompts_date_is_the_turns_whenever_it_is_run_again(client, model, key, page):
    model.script(key, Answer(write(page, "one")), Answer("Done."))
    asked = await client.responses.create(model="dated", input=prompt(key))
    (request,) = items_of(asked, "mcp_approval_request")
    done = await answer(client, asked, request, approve=True)
    assert [call.output for call in items_of(done, "mcp_call")] == ["wrote one"], done.error
    dates = {line for each in model.requests(key) for line in each.texts("system")[0].splitlines()[-1:]}
    assert len(model.requests(key)) == 2
    assert len(dates) == 1, dates
    # The id of a turn has its time in it.
    milliseconds = int(asked.id.removeprefix("resp_")[:12], 16)
    asked_at = datetime.fromtimestamp(milliseconds / 1000).astimezone()
    assert dates == {f"Current Date: {asked_at:%Y-%m-%d %H:%M:%S.%f}"}
