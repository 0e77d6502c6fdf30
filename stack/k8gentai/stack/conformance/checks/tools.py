"""Tools: told with their arguments and results, one after another where the model asks so."""

import json

from k8gentai.stack.conformance.capabilities import Capability, check
from k8gentai.stack.conformance.expect import equal, holds, one
from k8gentai.stack.conformance.lab import Lab, calls, completed, items
from k8gentai.stack.conformance.scripted import Answer, Call


@check(Capability.TOOLS)
async def a_call_is_told_with_its_arguments_and_its_result(lab: Lab) -> None:
    lab.script(Answer(Call("add", {"a": 19, "b": 23})), Answer("It is ", "42."))
    response = completed((await lab.stream("calculator"))[-1].response)
    equal("the calls", calls(response), [("add", {"a": 19, "b": 23})])
    equal("the call's result", float(items(response, "mcp_call")[0].output or "nan"), 42)
    equal("the answer", response.output_text, "It is 42.")
    shown = one("results shown to the model", lab.requests()[1].texts("tool"))
    equal("the result shown to the model", float(shown), 42)


@check(Capability.TOOLS)
async def a_call_runs_once(lab: Lab) -> None:
    lab.script(Answer(lab.write("one")), Answer("Written."))
    response = await lab.answer("scribe")
    line = one("lines written", lab.lines())
    holds("the tool was told an idempotency key", line.split()[1] != "None", line)
    equal("the call's result", items(response, "mcp_call")[0].output, "wrote one")


@check(Capability.ARGUMENT_DELTAS, Capability.TOOLS)
async def arguments_are_streamed(lab: Lab) -> None:
    lab.script(Answer(Call("add", {"a": 19, "b": 23}, pieces=3)), Answer("Done."))
    events = await lab.stream("calculator")
    deltas = [event.delta for event in events if event.type == "response.mcp_call_arguments.delta"]
    holds("arguments come in several pieces", len(deltas) > 1, deltas)
    equal("the arguments", json.loads("".join(deltas)), {"a": 19, "b": 23})


@check(Capability.TOOLS_IN_SEQUENCE, Capability.TOOLS)
async def each_result_is_known_before_the_next_call(lab: Lab) -> None:
    lab.script(
        Answer("First. ", Call("add", {"a": 1, "b": 2})),
        Answer("Then. ", Call("multiply", {"a": 3, "b": 4})),
        Answer("Done."),
    )
    response = await lab.answer("calculator")
    equal("the calls", calls(response), [("add", {"a": 1, "b": 2}), ("multiply", {"a": 3, "b": 4})])
    equal("their results", [float(call.output) for call in items(response, "mcp_call")], [3, 12])
    equal("model calls", len(lab.requests()), 3)
    told = [float(text) for text in lab.requests()[2].texts("tool")]
    equal("results shown to the model at last", told, [3, 12])
