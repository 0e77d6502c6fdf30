"""What an agent remembers: the previous response's history, or the conversation's."""

import asyncio

import openai
import pytest

from k8gentai.workers.queue import keys
from tests.integration.helpers import (
    EVERY_AGENT,
    LANGGRAPH,
    LLAMA_STACK,
    collect,
    eventually,
    heard,
    prompt,
    text_of_content,
)
from tests.scripted import Answer, Call, Gate


async def items_of(client, conversation, count):
    """The conversation's items, once there are so many (they join it after the turn has ended)."""

    async def look():
        return [item async for item in client.conversations.items.list(conversation, order="asc", limit=100)]

    return await eventually(look, lambda items: len(items) >= count)


@pytest.mark.parametrize("agent", EVERY_AGENT)
async def test_previous_response_id(client, model, key, agent):
    model.script(key, Answer("One."), Answer("Two."), Answer("Three."))
    previous = None
    for number in range(3):
        response = await client.responses.create(
            model=agent, input=prompt(key, f"Question {number}."), previous_response_id=previous
        )
        assert response.previous_response_id == previous
        previous = response.id
    assert heard(model.requests(key)[2]) == [
        ("user", prompt(key, "Question 0.")),
        ("assistant", "One."),
        ("user", prompt(key, "Question 1.")),
        ("assistant", "Two."),
        ("user", prompt(key, "Question 2.")),
    ]


async def test_a_chain_outlives_redis_and_what_was_deleted_of_it(client, model, key, stack):
    answers = [f"a{number}" for number in range(7)]
    model.script(key, *(Answer(answer) for answer in answers))

    async def ask(text, previous):
        made = await client.responses.create(
            model=LANGGRAPH, input=prompt(key, text), previous_response_id=previous
        )
        return made.id

    ids: list[str] = []
    for number in range(4):
        ids.append(await ask(f"u{number}", ids[-1] if ids else None))
    _, two, three, four = ids
    with stack.redis() as redis:

        async def settled():
            return [redis.hget(keys.TURN + turn_id, "settled") for turn_id in ids]

        await eventually(settled, all)
        assert [redis.hget(keys.TURN + turn_id, "history") for turn_id in ids] == [b"[]"] * 4
        await client.responses.delete(two)
        redis.delete(*(keys.TURN + turn_id for turn_id in ids))
    branch = await ask("u4", three)
    await ask("u5", branch)
    await ask("u6", four)
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(two)
    assert [item.id async for item in client.responses.input_items.list(three)] != []

    def told(*numbers):
        last = [("user", prompt(key, f"u{numbers[-1]}"))]
        pairs = [(("user", prompt(key, f"u{number}")), ("assistant", answers[number])) for number in numbers[:-1]]
        return [message for pair in pairs for message in pair] + last

    branched, onwards, continued = [heard(request) for request in model.requests(key)[4:]]
    assert branched == told(0, 1, 2, 4)
    assert onwards == told(0, 1, 2, 4, 5)
    assert continued == told(0, 1, 2, 3, 6)


@pytest.mark.parametrize("agent", EVERY_AGENT)
async def test_conversation(client, model, key, agent):
    model.script(key, Answer("One."), Answer("Two."))
    conversation = (await client.conversations.create()).id
    for number in range(2):
        response = await client.responses.create(
            model=agent, input=prompt(key, f"Question {number}."), conversation=conversation
        )
        assert response.conversation.id == conversation
    assert heard(model.requests(key)[1]) == [
        ("user", prompt(key, "Question 0.")),
        ("assistant", "One."),
        ("user", prompt(key, "Question 1.")),
    ]


async def test_a_conversation_may_be_named_by_an_object(client, model, key):
    model.script(key, Answer("One."), Answer("Two."))
    conversation = {"id": (await client.conversations.create()).id}
    for text in ("First.", "Second."):
        await client.responses.create(model=LANGGRAPH, input=prompt(key, text), conversation=conversation)
    assert ("assistant", "One.") in heard(model.requests(key)[1])


@pytest.mark.parametrize("agent", ["calculator", LLAMA_STACK])
async def test_a_turns_items_join_its_conversation_once_and_in_order(client, model, key, agent):
    calls = [Answer(Call("add", {"a": 1, "b": 2}))] if agent == "calculator" else []
    model.script(key, *calls, Answer("Three."), Answer("Again."))
    conversation = (await client.conversations.create()).id
    await client.responses.create(model=agent, input=prompt(key, "First."), conversation=conversation)
    await client.responses.create(model=agent, input=prompt(key, "Second."), conversation=conversation)
    one = ["message", *(["mcp_call"] if calls else []), "message"]
    items = await items_of(client, conversation, len(one) + 2)
    assert [item.type for item in items] == [*one, "message", "message"]
    assert len({item.id for item in items}) == len(items)


async def test_a_conversation_lists_its_items_as_they_happened(client, model, key):
    """Turns that queued, one with many items, and what the client adds: to the client as to the model."""
    calls = [Answer(Call("add", {"a": number, "b": 2})) for number in range(6)]
    model.script(key, *calls, *(Answer(f"a{number}") for number in range(4)))
    conversation = (await client.conversations.create()).id
    queued = [
        await client.responses.create(
            model="calculator", input=prompt(key, f"u{number}"), conversation=conversation, background=True
        )
        for number in range(3)
    ]
    await eventually(
        lambda: client.responses.retrieve(queued[-1].id), lambda response: response.status == "completed"
    )
    await items_of(client, conversation, 12)
    note = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "note"}]}
    await client.conversations.items.create(conversation, items=[note])
    await client.responses.create(model="calculator", input=prompt(key, "u3"), conversation=conversation)

    def shown(item):
        return item.content[0].text.rpartition(" ")[2] if item.type == "message" else item.type

    items = await items_of(client, conversation, 15)
    wanted = ["u0", *["mcp_call"] * 6, "a0", "u1", "a1", "u2", "a2", "note", "u3", "a3"]
    assert [shown(item) for item in items] == wanted
    newest = [item async for item in client.conversations.items.list(conversation, limit=4)]
    assert [item.id for item in newest] == [item.id for item in items[::-1]]
    told = [text.rpartition(" ")[2] for _, text in heard(model.requests(key)[-1]) if text]
    assert [text for text in told if text[0] in "aun"] == [each for each in wanted if each != "mcp_call"][:-1]


async def test_the_history_of_tools_is_carried(client, model, key):
    """The next turn's model sees the earlier call and its result."""
    model.script(key, Answer(Call("multiply", {"a": 6, "b": 7})), Answer("42."), Answer("As I said."))
    conversation = (await client.conversations.create()).id
    for text in ("How much?", "Sure?"):
        await client.responses.create(model="calculator", input=prompt(key, text), conversation=conversation)
    messages = model.requests(key)[2].messages
    (call,) = [call for message in messages for call in message.get("tool_calls") or ()]
    assert call["function"]["name"] == "multiply"
    (result,) = [message for message in messages if message["role"] == "tool"]
    assert result["tool_call_id"] == call["id"]
    assert float(text_of_content(result["content"])) == 42


async def test_frameworks_share_a_conversation(client, model, key):
    model.script(key, Answer("From the graph."), Answer("From the stack."))
    conversation = (await client.conversations.create()).id
    await client.responses.create(model=LANGGRAPH, input=prompt(key, "A."), conversation=conversation)
    await client.responses.create(model=LLAMA_STACK, input=prompt(key, "B."), conversation=conversation)
    assert ("assistant", "From the graph.") in heard(model.requests(key)[1])


async def test_a_turn_queued_behind_a_running_one_sees_its_answer(client, model, key):
    """One turn at a time in a conversation, in the order they came."""
    gate = Gate()
    model.script(key, Answer(gate, "Zero."), *(Answer(f"{number}.") for number in range(1, 4)))
    conversation = (await client.conversations.create()).id
    turns = [
        await client.responses.create(
            model=LANGGRAPH, input=prompt(key, f"Question {number}."), conversation=conversation, background=True
        )
        for number in range(4)
    ]
    await gate.reached()
    assert len(model.requests(key)) == 1
    gate.open()
    last = await eventually(
        lambda: client.responses.retrieve(turns[-1].id), lambda response: response.status == "completed"
    )
    assert last.output_text == "3."
    told = [text for role, text in heard(model.requests(key)[3]) if role == "assistant"]
    assert told == ["Zero.", "1.", "2."]


async def test_other_conversations_are_not_held_up(client, model, key):
    gate = Gate()
    model.script(key, Answer(gate, "Slow."))
    model.script(key + "b", Answer("Fast."))
    held, other = [(await client.conversations.create()).id for _ in range(2)]
    slow = asyncio.create_task(client.responses.create(model=LANGGRAPH, input=prompt(key), conversation=held))
    await gate.reached()
    fast = await client.responses.create(model=LANGGRAPH, input=prompt(key + "b"), conversation=other)
    assert fast.output_text == "Fast."
    gate.open()
    assert (await slow).output_text == "Slow."


async def test_a_failed_turn_does_not_join_and_does_not_block(client, model, key):
    model.script(key, Answer("Well."))
    conversation = (await client.conversations.create()).id
    failed = await client.responses.create(model="raising", input="Try.", conversation=conversation)
    assert failed.status == "failed"
    await client.responses.create(model=LANGGRAPH, input=prompt(key), conversation=conversation)
    assert heard(model.requests(key)[0]) == [("user", prompt(key))]
    assert len(await items_of(client, conversation, 2)) == 2


async def test_a_cancelled_turn_lets_the_next_one_go(client, model, key):
    gate = Gate()
    model.script(key, Answer(gate, "Never."), Answer("Next."))
    conversation = (await client.conversations.create()).id
    first = await client.responses.create(
        model=LANGGRAPH, input=prompt(key), conversation=conversation, background=True
    )
    await gate.reached()
    second = await client.responses.create(
        model=LANGGRAPH, input=prompt(key, "Next."), conversation=conversation, background=True, stream=True
    )
    await client.responses.cancel(first.id)
    events = await collect(second)
    assert events[-1].response.output_text == "Next."
    assert heard(model.requests(key)[1]) == [("user", prompt(key, "Next."))]


async def test_store_false_still_joins_its_conversation(client, model, key):
    """``store`` is about the response; the conversation is what the client asked to be kept."""
    model.script(key, Answer("One."), Answer("Two."))
    conversation = (await client.conversations.create()).id
    for text in ("First.", "Second."):
        await client.responses.create(
            model=LANGGRAPH, input=prompt(key, text), conversation=conversation, store=False
        )
    assert ("assistant", "One.") in heard(model.requests(key)[1])
