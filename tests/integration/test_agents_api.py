"""The classic Agents API on the wire: order in a session, people who approve, and what outlives its processes."""

import asyncio

from k8gentai.stack.terminal import sse
from tests.integration.helpers import eventually, prompt
from tests.integration.test_turns_command import turns as turns_command
from tests.scripted import Answer, Call, Gate


async def begin(http, agent="assistant"):
    """A session's path."""
    made = await http.post(f"/v1alpha/agents/{agent}/session", json={"session_name": "test"})
    return f"/v1alpha/agents/{agent}/session/{made.json()['session_id']}"


def said(text, **options):
    return {"messages": [{"role": "user", "content": text}], **options}


async def streamed(http, path, body):
    """The payloads of a turn's stream."""
    async with http.stream("POST", path, json={**body, "stream": True}) as answer:
        return [chunk["event"]["payload"] async for chunk in sse.events(answer)]


async def test_two_turns_at_once_run_in_the_order_they_came(http, model, key):
    gate = Gate()
    model.script(key, Answer("One", gate, "."), Answer("Two."))
    session = await begin(http)
    first = asyncio.create_task(http.post(f"{session}/turn", json=said(prompt(key))))
    await gate.reached()
    second = asyncio.create_task(http.post(f"{session}/turn", json=said(prompt(key, "And now?"))))
    await eventually(lambda: http.get(session), lambda shown: len(shown.json()["turns"]) == 2)
    gate.open()
    contents = [(await turn).json()["output_message"]["content"] for turn in (first, second)]
    assert contents == ["One.", "Two."]
    assert model.requests(key)[1].texts("assistant") == ["One."]


async def test_a_session_is_a_conversation_and_a_turn_a_response(http, client, model, key):
    model.script(key, Answer("One."), Answer("Two."))
    session = await begin(http)
    turn = (await http.post(f"{session}/turn", json=said(prompt(key)))).json()
    response = await client.responses.retrieve(turn["turn_id"])
    assert (response.output_text, response.conversation.id) == ("One.", turn["session_id"])
    await client.responses.create(model="assistant", input=prompt(key), conversation=turn["session_id"])
    assert model.requests(key)[1].texts("assistant") == ["One."]


async def test_stop_words_reach_the_model(http, model, key):
    model.script(key, Answer("One."))
    config = {
        "model": "openai/scripted-model",
        "instructions": "Be brief.",
        "sampling_params": {"strategy": {"type": "greedy"}, "max_tokens": 32, "stop": ["END"]},
    }
    agent = (await http.post("/v1alpha/agents", json={"agent_config": config})).json()["agent_id"]
    await http.post(f"{await begin(http, agent)}/turn", json=said(prompt(key)))
    (request,) = model.requests(key)
    assert (request.body["stop"], request.body["temperature"]) == (["END"], 0.0)


async def test_a_turn_goes_on_once_a_person_approved(stack, http, model, key, tmp_path):
    page = tmp_path / "page.txt"
    model.script(key, Answer(Call("write", {"path": str(page), "line": "one"})), Answer("Written."))
    session = await begin(http, "guarded")
    *_, waiting = await streamed(http, f"{session}/turn", said(prompt(key)))
    assert waiting["event_type"] == "turn_awaiting_input"
    turn = waiting["turn"]
    assert turn["output_message"]["tool_calls"][0]["tool_name"] == "write"
    assert (await turns_command(stack, "approve", turn["turn_id"])).returncode == 0
    done = await eventually(
        lambda: http.get(f"{session}/turn/{turn['turn_id']}"), lambda shown: shown.json()["completed_at"]
    )
    assert done.json()["output_message"]["content"] == "Written."
    ran = [step for step in done.json()["steps"] if step["step_type"] == "tool_execution"]
    assert [step["tool_responses"][0]["content"] for step in ran] == ["wrote one"]
    assert page.exists()


async def test_a_session_outlives_its_server(own_stack, model, key):
    """The server is killed in mid-turn, and with it the turn's model call; the turn has each step once."""
    gate = Gate()
    calls = Answer(Call("multiply", {"a": 6, "b": 7}))
    model.script(key, calls, Answer("It is ", gate, "42."), Answer("It is ", "42."), Answer("Yes."))
    server = own_stack.add_server()
    own_stack.add_worker("langgraph")
    async with server.http() as http:
        session = await begin(http, "calculator")
        left = asyncio.create_task(streamed(http, f"{session}/turn", said(prompt(key))))
        await gate.reached()
        left.cancel()
        await asyncio.gather(left, return_exceptions=True)
    server.process.kill()
    await asyncio.to_thread(server.start)
    gate.open()
    async with server.http() as http:
        shown = await eventually(
            lambda: http.get(session), lambda shown: shown.json()["turns"][0]["completed_at"] is not None
        )
        (turn,) = shown.json()["turns"]
        assert [step["step_type"] for step in turn["steps"]] == ["inference", "tool_execution", "inference"]
        assert turn["output_message"]["content"] == "It is 42."
        again = (await http.post(f"{session}/turn", json=said(prompt(key, "Sure?")))).json()
        assert again["output_message"]["content"] == "Yes."
    assert "It is 42." in model.requests(key)[-1].texts("assistant")
