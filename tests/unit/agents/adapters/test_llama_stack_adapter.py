"""The Llama Stack adapter against a scripted model: what it streams, asks for and refuses."""

import asyncio
import socket

import pytest

from k8gentai.agents.adapters.llama_stack.adapter import LlamaStackAdapter
from k8gentai.agents.adapters.llama_stack.models import ModelCallError
from k8gentai.agents.contract.events import (
    MessageDone,
    StepCompleted,
    StepStarted,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallStarted,
)
from k8gentai.agents.contract.turn import AgentLoadError, RequestError
from k8gentai.agents.resources.agent import AgentDefinition
from tests.scripted import FOREVER, HANG_UP, Answer, Call, Gate, Refuse
from tests.support.llama_stack import boundary_of, context_for, run, turn_of, user

WEATHER = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}


@pytest.fixture
async def adapter():
    made = LlamaStackAdapter()
    yield made
    await made.aclose()


def definition(**spec):
    return AgentDefinition.model_validate(
        {
            "apiVersion": "kagent.dev/v1alpha1",
            "kind": "Agent",
            "metadata": {"name": "assistant"},
            "spec": {"framework": "llama-stack", "model": {"name": "scripted-model"}, **spec},
        }
    )


async def test_logprobs_come_where_they_are_asked_for(model, adapter):
    model.script("likely", Answer("Hel", "lo."))
    wanted = {"include": ["message.output_text.logprobs"]}
    events = await run(adapter, turn_of("[[likely]]", parameters=wanted), context_for(model.base_url))
    tokens = [
        {"token": token, "bytes": list(token.encode()), "logprob": -0.25, "top_logprobs": []}
        for token in ("Hel", "lo.")
    ]
    assert [event.logprobs for event in events if isinstance(event, TextDelta)] == [[token] for token in tokens]
    assert events[-2] == MessageDone(message_id="m0", text="Hello.", logprobs=tokens)


async def test_text_streams_within_one_step(model, adapter):
    model.script("text", Answer("Hel", "lo."))
    assert await run(adapter, turn_of("[[text]]"), context_for(model.base_url)) == [
        StepStarted(step_id="s0", kind="inference"),
        TextDelta(message_id="m0", delta="Hel"),
        TextDelta(message_id="m0", delta="lo."),
        MessageDone(message_id="m0", text="Hello."),
        StepCompleted(step_id="s0", kind="inference"),
    ]


async def test_text_is_handed_on_while_the_model_still_writes(model, adapter):
    gate = Gate()
    model.script("live", Answer("a", gate, "b"))
    stream = adapter.run(adapter.load(definition()), turn_of("[[live]]"), context_for(model.base_url))
    seen = [await anext(stream), await anext(stream)]
    assert seen[-1] == TextDelta(message_id="m0", delta="a")
    gate.open()
    assert [event async for event in stream][-2] == MessageDone(message_id="m0", text="ab")


async def test_a_declarative_agent_brings_prompt_and_parameters(model, adapter):
    model.script("decl", Answer("Yes."))
    agent = definition(
        systemPrompt="You are brief.",
        model={"name": "scripted-other", "temperature": 0.3, "topP": 0.8, "maxTokens": 99},
    )
    turn = turn_of("[[decl]]", instructions="Answer yes.", parameters={"temperature": 0.9, "top_p": None})
    await run(adapter, turn, context_for(model.base_url), agent)
    body = model.requests("decl")[0].body
    assert body["messages"][0] == {"role": "system", "content": "You are brief.\n\nAnswer yes."}
    assert (body["model"], body["temperature"], body["top_p"]) == ("scripted-other", 0.9, 0.8)
    assert body["max_completion_tokens"] == 99
    assert body["stream_options"] == {"include_usage": True}


async def test_a_function_call_goes_to_the_client_and_its_output_back_to_the_model(model, adapter):
    model.script("func", Answer("Look: ", Call("weather", {"city": "Rome"}, id="c1", pieces=2)), Answer("Sunny."))
    first = await run(adapter, turn_of("[[func]]", tools=[WEATHER]), context_for(model.base_url))
    assert [event for event in first if isinstance(event, ToolCallStarted)] == [
        ToolCallStarted(call_id="c1", name="weather", side="client")
    ]
    assert "".join(e.delta for e in first if isinstance(e, ToolCallDelta)) == '{"city": "Rome"}'
    assert first[-3:] == [
        ToolCall(call_id="c1", name="weather", arguments='{"city": "Rome"}', side="client"),
        MessageDone(message_id="m0", text="Look: "),
        StepCompleted(step_id="s0", kind="inference"),
    ]

    call = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "weather", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "c1", "output": "25 degrees"}
    second = turn_of(output, history=[user("[[func]]"), call], tools=[WEATHER])
    events = await run(adapter, second, context_for(model.base_url))
    assert events[-2] == MessageDone(message_id="m0", text="Sunny.")
    messages = model.requests("func")[1].messages
    assert messages[-1] == {"role": "tool", "tool_call_id": "c1", "content": "25 degrees"}
    assert messages[-2]["tool_calls"][0]["id"] == "c1"


async def test_a_model_that_was_offered_no_tool_and_calls_one_is_told(model, adapter):
    """The call is shown, and the turn does not end with nothing in it."""
    model.script("toolless", Answer(Call("pay", {"amount": 1}, id="c1")), Answer("I have no tools."))
    events = await run(adapter, turn_of("[[toolless]]"), context_for(model.base_url))
    assert [event.name for event in events if isinstance(event, ToolCall)] == ["pay"]
    assert [event.text for event in events if isinstance(event, MessageDone)] == ["I have no tools."]
    first, second = model.requests("toolless")
    assert "tools" not in first.body
    assert second.texts("tool") == ["there is no tool 'pay'"]


async def test_a_message_that_comes_again_with_a_calls_output_is_not_asked_again(model, adapter):
    model.script("twice", Answer("Sunny."), Answer("Still sunny."))
    call = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "weather", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "c1", "output": "25 degrees"}
    turn = turn_of("[[twice]]", output, user("Well?"), history=[user("[[twice]]"), call], tools=[WEATHER])
    await run(adapter, turn, context_for(model.base_url))
    assert model.requests("twice")[0].texts("user") == ["[[twice]]", "Well?"]
    # Without a call's output somebody does ask again.
    await run(adapter, turn_of("[[twice]]", history=[user("[[twice]]")]), context_for(model.base_url))
    assert model.requests("twice")[1].texts("user") == ["[[twice]]", "[[twice]]"]


async def test_parallel_function_calls_keep_their_order(model, adapter):
    model.script("par", Answer(Call("weather", {"n": 1}, id="a"), Call("weather", {"n": 2}, id="b")))
    turn = turn_of(
        "[[par]]", tools=[WEATHER], parameters={"parallel_tool_calls": False, "tool_choice": "required"}
    )
    events = await run(adapter, turn, context_for(model.base_url))
    assert [event.call_id for event in events if isinstance(event, ToolCall)] == ["a", "b"]
    body = model.requests("par")[0].body
    assert (body["parallel_tool_calls"], body["tool_choice"]) == (False, "required")


async def test_structured_output_reaches_the_model(model, adapter):
    model.script("json", Answer('{"n": 1}'))
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    text = {"format": {"type": "json_schema", "name": "number", "schema": schema, "strict": True}}
    await run(adapter, turn_of("[[json]]", parameters={"text": text}), context_for(model.base_url))
    asked = model.requests("json")[0].body["response_format"]
    assert asked == {"type": "json_schema", "json_schema": {"name": "number", "schema": schema, "strict": True}}


async def test_history_comes_before_the_input(model, adapter):
    model.script("hist", Answer("ok"))
    answer = {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": "Hi.", "annotations": [], "logprobs": []}],
    }
    failed = {
        "type": "mcp_call",
        "id": "mcp_1",
        "name": "add",
        "arguments": "{}",
        "server_label": "calc",
        "error": "no such number",
    }
    turn = turn_of("[[hist]]", history=[user("Hello"), answer, failed])
    await run(adapter, turn, context_for(model.base_url))
    received = model.requests("hist")[0]
    assert received.texts("user") == ["Hello", "[[hist]]"]
    assert received.texts("tool") == ["no such number"]


async def test_a_model_error_names_model_and_cause(model, adapter):
    model.script("500", Refuse(500, "out of memory"))
    with pytest.raises(ModelCallError, match="'scripted-model' answered 500: out of memory") as raised:
        await run(adapter, turn_of("[[500]]"), context_for(model.base_url))
    assert raised.value.status_code == 500
    assert len(model.requests("500")) == 1


async def test_a_model_that_hangs_up(model, adapter):
    model.script("hang", Answer("Half of", HANG_UP))
    context = context_for(model.base_url)
    with pytest.raises(ModelCallError, match="hung up in the middle"):
        await run(adapter, turn_of("[[hang]]"), context)
    assert boundary_of(context).events[-1] == TextDelta(message_id="m0", delta="Half of")


async def test_a_model_that_is_away(adapter):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(ModelCallError, match="could not be reached"):
        await run(adapter, turn_of("hello"), context_for(f"http://127.0.0.1:{port}/v1"))


async def test_closing_the_iterator_hangs_up_on_the_model(model, adapter):
    model.script("close", Answer(FOREVER))
    stream = adapter.run(adapter.load(definition()), turn_of("[[close]]"), context_for(model.base_url))
    await anext(stream)
    await anext(stream)
    await stream.aclose()
    await model.requests("close")[0].wait_closed()


async def test_cancelling_a_turn_that_waits_hangs_up_on_the_model(model, adapter):
    gate = Gate()
    model.script("cancel", Answer("a", gate))
    task = asyncio.create_task(run(adapter, turn_of("[[cancel]]"), context_for(model.base_url)))
    await gate.reached()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await model.requests("cancel")[0].wait_closed()
    gate.open()


async def test_turns_at_once_do_not_cross(model, adapter):
    gate = Gate()
    for n in range(6):
        model.script(f"turn{n}", Answer(f"answer {n}", gate, "."))
    turns = [
        asyncio.create_task(run(adapter, turn_of(f"[[turn{n}]]"), context_for(model.base_url, key=f"key-{n}")))
        for n in range(6)
    ]
    for n in range(6):
        request = await model.request(f"turn{n}")
        assert request.headers["authorization"] == f"Bearer key-{n}"
    gate.open()
    for n, events in enumerate(await asyncio.gather(*turns)):
        assert events[-2] == MessageDone(message_id="m0", text=f"answer {n}.")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"parameters": {"messages": []}}, "'messages' is no parameter"),
        ({"parameters": {"temperature": 9}}, "temperature"),
        ({"history": [{"type": "computer_call"}]}, "item 0 .* 'computer_call'"),
    ],
)
async def test_what_cannot_be_done_is_named(model, adapter, fields, message):
    with pytest.raises(RequestError, match=message):
        await run(adapter, turn_of("hello", **fields), context_for(model.base_url))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"entrypoint": "a:b"}, "spec.entrypoint"),
        ({"model": {}}, "spec.model.name"),
        ({"model": {"name": "m", "maxTokens": 3}}, "max_output_tokens"),
    ],
)
def test_a_definition_that_cannot_be_loaded_is_named(spec, message):
    with pytest.raises(AgentLoadError, match=message):
        LlamaStackAdapter().load(definition(**spec))
