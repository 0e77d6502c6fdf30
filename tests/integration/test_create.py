"""POST /v1/responses in its four forms, for agents of each framework and for a plain model."""

import pytest

from tests.integration.helpers import EVERY_AGENT, LANGGRAPH, check_sequence, collect, ended, prompt, text_of
from tests.scripted import Answer, Gate


@pytest.mark.parametrize("agent", EVERY_AGENT)
async def test_plain(client, model, key, agent):
    model.script(key, Answer("Good ", "day."))
    response = await client.responses.create(model=agent, input=prompt(key))
    assert (response.status, response.output_text, response.model) == ("completed", "Good day.", agent)
    assert response.id.startswith("resp_")


@pytest.mark.parametrize("agent", EVERY_AGENT)
async def test_stream(client, model, key, agent):
    """The deltas come while the model still speaks."""
    gate = Gate()
    model.script(key, Answer("Good ", gate, "day."))
    events = []
    async with await client.responses.create(model=agent, input=prompt(key), stream=True) as stream:
        async for event in stream:
            events.append(event)
            if event.type == "response.output_text.delta":
                gate.open()
    assert text_of(events) == "Good day."
    check_sequence(events)
    assert events[-1].type == "response.completed"
    assert events[-1].response.output_text == "Good day."


@pytest.mark.parametrize("agent", EVERY_AGENT)
async def test_background(client, model, key, agent):
    """The answer comes at once, and the turn goes on by itself."""
    gate = Gate()
    model.script(key, Answer(gate, "Done."))
    response = await client.responses.create(model=agent, input=prompt(key), background=True)
    assert response.status in ("queued", "in_progress")
    assert response.background is True
    await gate.reached()
    assert (await client.responses.retrieve(response.id)).status == "in_progress"
    gate.open()
    assert (await ended(client, response.id)).output_text == "Done."


@pytest.mark.parametrize("agent", EVERY_AGENT)
async def test_background_and_stream_together(client, model, key, agent):
    model.script(key, Answer("Both."))
    stream = await client.responses.create(model=agent, input=prompt(key), background=True, stream=True)
    events = await collect(stream)
    assert [event.type for event in events[:3]] == ["response.created", "response.queued", "response.in_progress"]
    assert text_of(events) == "Both."
    check_sequence(events)


async def test_an_agents_id_may_carry_the_providers_prefix(client, model, key):
    model.script(key, Answer("Yes."))
    response = await client.responses.create(model=f"amf/{LANGGRAPH}", input=prompt(key))
    assert response.output_text == "Yes."


async def test_a_plain_models_own_name_will_do(client, model, key):
    """Without the stack's prefix, as the openai SDK's users would write it."""
    model.script(key, Answer("Yes."))
    response = await client.responses.create(model="scripted-model", input=prompt(key))
    assert response.output_text == "Yes."


async def test_a_plain_model_runs_with_the_requests_own_instructions_and_parameters(client, model, key):
    model.script(key, Answer("Yes."))
    await client.responses.create(
        model="openai/scripted-other",
        input=prompt(key),
        instructions="Be brief.",
        temperature=0.25,
        max_output_tokens=99,
    )
    (request,) = model.requests(key)
    assert request.body["model"] == "scripted-other"
    assert request.texts("system") == ["Be brief."]
    assert request.body["temperature"] == 0.25
    assert 99 in (request.body.get("max_tokens"), request.body.get("max_completion_tokens"))


async def test_a_declarative_agent_has_its_own_system_prompt(client, model, key):
    model.script(key, Answer("Yes."))
    await client.responses.create(model="assistant", input=prompt(key))
    assert "You are the assistant of the tests." in model.requests(key)[0].texts("system")[0]


async def test_a_list_of_items_is_input_too(client, model, key):
    model.script(key, Answer("Yes."))
    items = [
        {"role": "user", "content": "I am Ada."},
        {"role": "assistant", "content": "Hello Ada."},
        {"role": "user", "content": [{"type": "input_text", "text": prompt(key, "Who am I?")}]},
    ]
    await client.responses.create(model=LANGGRAPH, input=items)
    said = [(message["role"], str(message["content"])) for message in model.requests(key)[0].messages]
    assert [role for role, _ in said] == ["user", "assistant", "user"]
    assert "I am Ada." in said[0][1]


async def test_parameters_and_metadata_are_echoed(client, model, key):
    model.script(key, Answer("Yes."))
    sent = {"temperature": 0.5, "top_p": 0.9, "max_output_tokens": 50, "metadata": {"ticket": "7"}}
    response = await client.responses.create(
        model=LANGGRAPH, input=prompt(key), instructions="Be kind.", parallel_tool_calls=False, **sent
    )
    for name, value in sent.items():
        assert getattr(response, name) == value
    assert response.instructions == "Be kind."
    assert response.parallel_tool_calls is False
    assert response.store is True
