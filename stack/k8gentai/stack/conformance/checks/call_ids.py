"""Each tool call has an id of its own, whatever ids the model sends: none, the same twice, the same again."""

import json

from k8gentai.stack.conformance.capabilities import Capability, check
from k8gentai.stack.conformance.expect import equal
from k8gentai.stack.conformance.lab import Lab, calls, completed, items
from k8gentai.stack.conformance.scripted import Answer, Call, Raw


async def _all_run(lab: Lab, *answers: Answer, lines: list[str]) -> None:
    """See that every call runs once, and is shown once with its own arguments and result, to the client and the
    model."""
    lab.script(*answers, Answer("Done."))
    response = await lab.answer("scribe")
    equal("the answer", response.output_text, "Done.")
    equal("the calls shown", [arguments["line"] for _, arguments in calls(response)], lines)
    results = [f"wrote {line}" for line in lines]
    equal("their results", [call.output for call in items(response, "mcp_call")], results)
    keys = dict(line.split() for line in lab.lines())
    equal("the lines written", sorted(keys), sorted(lines))
    equal("idempotency keys", len(set(keys.values())), len(lines))
    _paired(lab, results)


def _paired(lab: Lab, results: list[str]) -> None:
    """See that the model is shown each result under the id of its call."""
    messages = lab.requests()[-1].messages
    asked = [call for message in messages for call in message.get("tool_calls") or ()]
    wrote = {call["id"]: f"wrote {json.loads(call['function']['arguments'])['line']}" for call in asked}
    told = {message["tool_call_id"]: message["content"] for message in messages if message["role"] == "tool"}
    equal("ids of the calls that the model is shown", len(wrote), len(results))
    equal("results that the model is shown, by id", told, wrote)


@check(Capability.TOOLS)
async def two_calls_under_one_id_are_two(lab: Lab) -> None:
    one, two = (Call("write", lab.write(line).arguments, id="dup") for line in ("one", "two"))
    await _all_run(lab, Answer(one, two), lines=["one", "two"])


@check(Capability.TOOLS)
async def calls_with_an_empty_id_run(lab: Lab) -> None:
    one, two = (Call("write", lab.write(line).arguments, id="") for line in ("one", "two"))
    await _all_run(lab, Answer(one, two), lines=["one", "two"])


@check(Capability.TOOLS)
async def an_id_that_comes_again_in_the_next_answer_is_another_call(lab: Lab) -> None:
    one, two = (Call("write", lab.write(line).arguments, id="call_0") for line in ("one", "two"))
    await _all_run(lab, Answer(one), Answer(two), lines=["one", "two"])


@check(Capability.TOOLS)
async def calls_without_ids_at_one_index_are_told_apart(lab: Lab) -> None:
    pieces = [{"function": {"name": "write", "arguments": lab.write(line).text}} for line in ("one", "two")]
    deltas = [{"tool_calls": [{**piece, "index": 0}]} for piece in pieces]
    chunks = [Raw({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}) for delta in deltas]
    await _all_run(lab, Answer(*chunks, finish="tool_calls"), lines=["one", "two"])


@check(Capability.TOOLS)
async def arguments_that_are_an_object_are_read(lab: Lab) -> None:
    piece = {"function": {"name": "write", "arguments": dict(lab.write("one").arguments)}}  # type: ignore[arg-type]
    delta = {"tool_calls": [piece]}
    chunk = Raw({"choices": [{"index": 0, "delta": delta, "finish_reason": "stop"}]})
    await _all_run(lab, Answer(chunk, finish=""), lines=["one"])


@check(Capability.APPROVAL, Capability.TOOLS)
async def calls_under_one_id_are_each_asked_for(lab: Lab) -> None:
    for number, sent_id in enumerate(("", "dup")):
        lines = [f"{number}-one", f"{number}-two"]
        lab.script(
            Answer(*(Call("write", lab.write(line).arguments, id=sent_id) for line in lines)),
            Answer("Both."),
            part=number,
        )
        response = await lab.answer("guarded", part=number)
        before = len(lab.lines())
        asked = []
        while requests := items(response, "mcp_approval_request"):
            # A framework that runs one tool after the other asks one by one.
            asked += [json.loads(request.arguments)["line"] for request in requests]
            answers = [
                {"type": "mcp_approval_response", "approval_request_id": request.id, "approve": True}
                for request in requests
            ]
            response = completed(
                await lab.send(model=response.model, previous_response_id=response.id, input=answers)
            )
        equal("what was asked for", asked, lines)
        equal("the lines written", sorted(line.split()[0] for line in lab.lines()[before:]), lines)
