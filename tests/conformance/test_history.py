"""History, instructions and the requested model reach every agent."""

from tests.conformance.helpers import eventually, prompt
from tests.scripted import Answer, Call


def said(request):
    """What the request carries, but for the system's own words."""
    return [
        (message["role"], text)
        for message in request.messages
        if message["role"] != "system" and isinstance(text := message.get("content"), str)
    ]


async def test_earlier_turns_are_known(client, model, key):
    model.script(key, Answer("One."), Answer("Two."), Answer("Three."))
    previous = None
    for number in range(3):
        response = await client.responses.create(
            model="plain", input=prompt(key, f"Question {number}."), previous_response_id=previous
        )
        previous = response.id
    heard = said(model.requests(key)[2])
    assert [role for role, _ in heard] == ["user", "assistant", "user", "assistant", "user"]
    for (_, text), part in zip(heard, ("Question 0.", "One.", "Question 1.", "Two.", "Question 2."), strict=True):
        assert part in text


async def test_the_conversation_of_a_turn_is_known(client, model, key):
    model.script(key, Answer("One."), Answer("Two."))
    conversation = (await client.conversations.create()).id
    for text in ("First.", "Second."):
        await client.responses.create(model="plain", input=prompt(key, text), conversation=conversation)
    heard = said(model.requests(key)[1])
    assert [role for role, _ in heard] == ["user", "assistant", "user"]


async def test_earlier_tool_calls_are_known(client, model, key):
    model.script(key, Answer(Call("multiply", {"a": 6, "b": 7})), Answer("42."), Answer("As I said."))
    first = await client.responses.create(model="calculator", input=prompt(key, "How much?"))
    await client.responses.create(model="calculator", input=prompt(key, "Sure?"), previous_response_id=first.id)
    messages = model.requests(key)[2].messages
    (call,) = [call for message in messages for call in message.get("tool_calls") or ()]
    assert call["function"]["name"] == "multiply"
    (result,) = [message for message in messages if message["role"] == "tool"]
    assert result["tool_call_id"] == call["id"]
    assert float(result["content"]) == 42


async def test_instructions_of_the_request_reach_the_model(client, model, key):
    await client.responses.create(model="plain", input=prompt(key), instructions="Answer in Latin.")
    assert any("Answer in Latin." in text for text in model.requests(key)[0].texts("system"))


async def test_the_definitions_model_is_called(client, model, key):
    await client.responses.create(model="plain", input=prompt(key))
    assert model.requests(key)[0].body["model"] == "scripted-model"


async def test_turns_of_one_conversation_run_one_after_the_other(client, model, key):
    model.script(key, *(Answer(f"{number}.") for number in range(3)))
    conversation = (await client.conversations.create()).id
    turns = [
        await client.responses.create(
            model="plain", input=prompt(key, f"Question {n}."), conversation=conversation, background=True
        )
        for n in range(3)
    ]
    last = await eventually(lambda: client.responses.retrieve(turns[-1].id), lambda r: r.status == "completed")
    assert last.output_text == "2."
