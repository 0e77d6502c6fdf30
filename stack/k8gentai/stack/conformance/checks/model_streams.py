"""Answers as endpoints really send them come to what the endpoint meant."""

from typing import Any

from k8gentai.stack.conformance.capabilities import Capability, check
from k8gentai.stack.conformance.expect import equal, one
from k8gentai.stack.conformance.lab import MODEL, Lab, calls, completed, failed, items, said
from k8gentai.stack.conformance.scripted import Answer, Call, Raw, Thought


def _chunk(delta: Any, **more: Any) -> Raw:
    return Raw({"choices": [{"index": 0, "delta": delta, "finish_reason": None}], **more})


@check(Capability.TEXT)
async def odd_chunks_do_not_change_an_answer(lab: Lab) -> None:
    """Comments, lines that are no JSON, chunks without choices, content in parts, halves of characters, figures in
    every chunk; no finish reason but the terminator."""
    figures = {"usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}}
    lab.script(
        Answer(
            Raw(": keep-alive\r\n\r\n"),
            Raw("data: nonsense\n\n"),
            Raw({"choices": []}),
            _chunk(None),
            _chunk({"role": "assistant", "content": "Hello "}, **figures),
            _chunk({"role": "assistant", "content": [{"type": "text", "text": "you "}]}, **figures),
            _chunk({"content": "\ud83d"}, **figures),
            _chunk({"content": "\ude00 and \ud83d"}, **figures),
            finish="",
        )
    )
    events = await lab.stream("plain")
    response = completed(events[-1].response)
    equal("the answer", response.output_text, "Hello you \U0001f600 and \ufffd")
    equal("what was streamed", said(events), response.output_text)
    equal("tokens in and out", (response.usage.input_tokens, response.usage.output_tokens), (11, 7))


@check(Capability.TEXT)
async def what_is_beside_an_answer_does_not_fail_it(lab: Lab) -> None:
    """Figures and other fields that no client needs to read the answer, of types that none counts on."""
    odd = {
        "usage": {
            "prompt_tokens": {"a": 1},
            "completion_tokens": "7",
            "total_tokens": [18],
            "prompt_tokens_details": "none",
            "completion_tokens_details": {"reasoning_tokens": -4},
        },
        "id": {},
        "created": "now",
        "model": None,
        "object": 5,
        "system_fingerprint": 5,
        "service_tier": 7,
    }
    lab.script(
        Answer(
            _chunk({"role": "tool", "content": "All of ", "audio": "none", "annotations": "none"}, **odd),
            _chunk({"content": "it.", "name": [1]}, **odd),
            finish="stop",
        )
    )
    response = await lab.answer("plain")
    equal("the answer", response.output_text, "All of it.")
    equal("tokens in and out", (response.usage.input_tokens, response.usage.output_tokens), (11, 7))


@check(Capability.TEXT)
async def an_unknown_finish_reason_ends_an_answer(lab: Lab) -> None:
    lab.script(Answer("All of it.", finish="eos"))
    equal("the answer", (await lab.answer("plain")).output_text, "All of it.")


@check(Capability.TEXT)
async def an_answer_in_one_piece_is_one_where_a_stream_was_asked_for(lab: Lab) -> None:
    """The stack cannot pass it on, so the model may be asked once more."""
    lab.script(*(Answer("All of it.", streamed=False) for _ in range(2)))
    response = await lab.answer("plain")
    equal("the answer", response.output_text, "All of it.")
    equal("tokens in and out", (response.usage.input_tokens, response.usage.output_tokens), (11, 7))


@check(Capability.TOOLS)
async def a_call_of_the_api_before_tools_is_a_call(lab: Lab) -> None:
    pieces = [{"name": "add", "arguments": ""}, {"arguments": '{"a": 1, '}, {"arguments": '"b": 2}'}]
    lab.script(
        Answer(*(_chunk({"function_call": piece}) for piece in pieces), finish="function_call"), Answer("Three.")
    )
    response = await lab.answer("calculator")
    equal("the calls", calls(response), [("add", {"a": 1, "b": 2})])
    equal("the answer", response.output_text, "Three.")


@check(Capability.MODEL_FAILURE)
async def an_error_in_a_stream_is_told_in_the_endpoints_words(lab: Lab) -> None:
    error = {"error": {"message": "Overloaded, come back later", "type": "overloaded_error"}}
    lab.script(*(Answer(Raw(error), finish="") for _ in range(20)))
    failed(await lab.ask("plain"), "model_overloaded", MODEL.partition("/")[2], "Overloaded, come back later")


@check(Capability.MODEL_FAILURE)
async def words_that_break_an_answer_off_are_told(lab: Lab) -> None:
    half = _chunk({"role": "assistant", "content": "Half an "})
    lab.script(*(Answer(half, Raw("data: Internal Server Error\n\n"), finish="") for _ in range(20)))
    failed(await lab.ask("plain"), "model_error", MODEL.partition("/")[2], "Internal Server Error")


@check(Capability.REASONING)
async def reasoning_is_shown(lab: Lab) -> None:
    lab.script(Answer(Thought("Let me "), Thought("see."), "Yes."))
    response = await lab.answer("plain")
    equal("the answer", response.output_text, "Yes.")
    reasoning = one("reasoning items", items(response, "reasoning"))
    equal("the reasoning", "".join(part.text for part in reasoning.content or reasoning.summary), "Let me see.")


@check(Capability.REASONING, Capability.TOOLS)
async def reasoning_goes_back_to_the_model_with_the_calls_it_led_to(lab: Lab) -> None:
    lab.script(Answer(Thought("I add."), Call("add", {"a": 1, "b": 2})), Answer("Three."))
    equal("the answer", (await lab.answer("calculator")).output_text, "Three.")
    asked = [message for message in lab.requests()[1].messages if message.get("tool_calls")]
    equal("the reasoning the model is sent", [m.get("reasoning_content") for m in asked], ["I add."])
