"""What models send that the scripted model does not: reasoning, refusals, odd chunks, odd endings."""

import json

import httpx
import pytest

from k8gentai.agents.adapters.llama_stack.adapter import LlamaStackAdapter
from k8gentai.agents.adapters.llama_stack.models import ModelCallError
from k8gentai.agents.contract.events import (
    MessageDone,
    ReasoningDelta,
    TextDelta,
    ToolCall,
    TurnIncomplete,
)
from k8gentai.agents.contract.turn import StepLimitReached
from tests.support.llama_stack import context_for, run, turn_of

TOOLS = [{"type": "function", "name": "f", "parameters": {}}]


def chunk(finish=None, **delta):
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "x", "created": 1, "model": "m", "choices": [choice]}


async def answered(*chunks, end=b"data: [DONE]\n\n", **fields):
    """The events of a turn whose model sends these chunks, and the requests it got."""
    lines = b"".join(b"data: " + json.dumps(c, ensure_ascii=False).encode() + b"\r\n\r\n" for c in chunks)
    requests = []

    def respond(request):
        requests.append(json.loads(request.content))
        return httpx.Response(
            200, headers={"content-type": "text/event-stream"}, content=b": hello\n\n" + lines + end
        )

    async with httpx.AsyncClient(transport=httpx.MockTransport(respond)) as client:
        events = await run(LlamaStackAdapter(client), turn_of("hello", **fields), context_for("http://model/v1"))
    return events, requests


async def test_reasoning_is_shown():
    events, requests = await answered(
        chunk(reasoning_content="Hm"),
        chunk(reasoning_content="m."),
        chunk("stop", content="Yes."),
        parameters={"reasoning": {"effort": "low"}},
    )
    assert events[1:-1] == [
        ReasoningDelta(message_id="m0", delta="Hm"),
        ReasoningDelta(message_id="m0", delta="m."),
        TextDelta(message_id="m0", delta="Yes."),
        MessageDone(message_id="m0", text="Yes.", reasoning="Hmm."),
    ]
    assert requests[0]["reasoning_effort"] == "low"


async def test_a_refusal_is_an_item():
    pieces = ({"refusal": piece, "content": piece} for piece in ("I will ", "not."))
    events, _ = await answered(*(chunk(**piece) for piece in pieces), chunk("stop"))
    started, *progress, done = events[1:-1]
    assert started.item["status"] == "in_progress"
    assert [p.event["type"] for p in progress] == [
        "response.content_part.added",
        "response.refusal.delta",
        "response.refusal.delta",
        "response.refusal.done",
        "response.content_part.done",
    ]
    assert {(p.item_id, p.event["item_id"], p.event["content_index"]) for p in progress} == {("i0", "i0", 0)}
    assert done.item["content"] == [{"type": "refusal", "refusal": "I will not."}]


async def test_an_empty_answer_is_an_answer():
    events, _ = await answered(chunk("stop", content=""))
    assert events[1] == MessageDone(message_id="m0", text="")


@pytest.mark.parametrize(
    ("finish", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter")]
)
async def test_an_early_end_is_incomplete(finish, reason):
    events, _ = await answered(chunk(finish, content="Half"))
    assert events[-3] == MessageDone(message_id="m0", text="Half")
    assert events[-1] == TurnIncomplete(reason=reason)


async def test_a_line_separator_within_the_text_ends_no_line():
    events, _ = await answered(chunk("stop", content="a\u2028b\x85c"))
    assert events[1] == TextDelta(message_id="m0", delta="a\u2028b\x85c")


async def test_what_llama_stack_does_not_know_does_not_matter():
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}
    more = {"index": 0, "function": {"arguments": "{}"}}
    events, _ = await answered(
        chunk(role="model", tool_calls=[call]),
        chunk("eos", tool_calls=[more]),
        tools=TOOLS,
    )
    assert ToolCall(call_id="c", name="f", arguments="{}", side="client") in events


async def test_a_model_that_does_nothing_but_make_up_calls_ends_its_turn_as_failed():
    call = [{"index": 0, "id": "c", "function": {"name": "g", "arguments": "{}"}}]
    with pytest.raises(StepLimitReached):
        await answered(chunk("tool_calls", tool_calls=call))


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ([chunk(content="a")], "hung up in the middle"),
        (
            [chunk(content="a"), {"error": {"message": "overloaded"}}],
            "failed in the middle of its answer: overloaded",
        ),
        ([{"choices": "?"}], "none of OpenAI's"),
        ([[1]], "none of OpenAI's"),
    ],
)
async def test_a_broken_stream_is_named(sent, message):
    with pytest.raises(ModelCallError, match=message):
        await answered(*sent)


@pytest.mark.parametrize(
    ("body", "message"),
    [(b'{"detail": "no such model"}', "no such model"), (b"<html>", "<html>"), (b"", "no reason given")],
)
async def test_an_errors_message_is_found(body, message):
    transport = httpx.MockTransport(lambda _: httpx.Response(404, content=body))
    async with httpx.AsyncClient(transport=transport) as client:
        with pytest.raises(ModelCallError, match=f"answered 404: {message}"):
            await run(LlamaStackAdapter(client), turn_of("hello"), context_for("http://model/v1"))
