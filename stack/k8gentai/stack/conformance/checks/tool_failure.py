"""A tool that fails is for the model to see; it does not end the turn."""

from k8gentai.stack.conformance.capabilities import Capability, check
from k8gentai.stack.conformance.expect import contains, equal, one
from k8gentai.stack.conformance.lab import Lab, items
from k8gentai.stack.conformance.scripted import Answer, Call


@check(Capability.TOOL_FAILURE, Capability.TOOLS)
async def a_tool_that_raises_is_a_result_the_model_sees(lab: Lab) -> None:
    lab.script(Answer(Call("fail", {"reason": "rain"})), Answer("I see."))
    response = await lab.answer("calculator")
    equal("the answer", response.output_text, "I see.")
    call = one("calls told", items(response, "mcp_call"))
    contains("the call's error", call.error, "it failed: rain")
    shown = one("results shown to the model", lab.requests()[1].texts("tool"))
    contains("the result shown to the model", shown, "it failed: rain")


@check(Capability.TOOL_FAILURE, Capability.TOOLS)
async def a_tool_that_is_not_there_does_not_end_the_turn(lab: Lab) -> None:
    lab.script(Answer(Call("subtract", {"a": 1, "b": 2})), Answer("Then not."))
    equal("the answer", (await lab.answer("calculator")).output_text, "Then not.")


@check(Capability.TOOL_FAILURE, Capability.TOOLS)
async def arguments_that_cannot_be_read_do_not_end_the_turn(lab: Lab) -> None:
    lab.script(Answer(Call("add", '{"a": 1, "b"')), Answer("Sorry."))
    equal("the answer", (await lab.answer("calculator")).output_text, "Sorry.")


@check(Capability.TOOL_FAILURE, Capability.TOOLS)
async def no_tool_runs_with_other_arguments_than_the_models(lab: Lab) -> None:
    """Arguments that are no JSON object are shown as they are, and are an error to the model."""
    whole = lab.write("one").text
    # No more: frameworks give up an answer with many calls that fail.
    odd = (whole[:-1], f"[{whole}]", whole.replace('"one"', "NaN"))
    lab.script(Answer(*(Call("write", written) for written in odd)), Answer("Sorry."))
    response = await lab.answer("scribe")
    equal("lines written", lab.lines(), [])
    calls = items(response, "mcp_call")
    equal("the arguments shown", [call.arguments for call in calls], list(odd))
    for call in calls:
        contains("the call's error", call.error, "not a JSON object")
    shown = lab.requests()[1].texts("tool")
    equal("results shown to the model", len(shown), len(odd))
    for text in shown:
        contains("a result shown to the model", text, "not a JSON object")


@check(Capability.TOOL_FAILURE, Capability.TOOLS)
async def arguments_that_are_no_object_are_an_error_to_the_model(lab: Lab) -> None:
    for part, written in enumerate(("5", "true", '"x"', "null")):
        lab.script(Answer(Call("write", written)), Answer("Sorry."), part=part)
        response = await lab.answer("scribe", part=part)
        equal("the answer", response.output_text, "Sorry.")
        call = one("calls told", items(response, "mcp_call"))
        equal("the arguments shown", call.arguments, written)
        contains("the call's error", call.error, "not a JSON object")


@check(Capability.TOOL_FAILURE, Capability.TOOLS)
async def arguments_that_are_nested_too_deeply_are_an_error_to_the_model(lab: Lab) -> None:
    """Readers of JSON fail on them with another error than on what is no JSON."""
    deep = lab.write("one").text.replace('"one"', "[" * 2_000 + "]" * 2_000)
    lab.script(Answer(Call("write", deep)), Answer("Sorry."))
    response = await lab.answer("scribe")
    equal("the answer", response.output_text, "Sorry.")
    call = one("calls told", items(response, "mcp_call"))
    equal("the arguments shown", call.arguments, deep)
    contains("the call's error", call.error, "not a JSON object")
    contains("the result", one("results shown to the model", lab.requests()[1].texts("tool")), "not a JSON object")


@check(Capability.TOOL_FAILURE, Capability.APPROVAL, Capability.TOOLS)
async def nobody_is_asked_about_arguments_that_cannot_be_read(lab: Lab) -> None:
    lab.script(Answer(Call("write", lab.write("one").text[:-1])), Answer("Sorry."))
    response = await lab.answer("guarded")
    equal("approval requests", items(response, "mcp_approval_request"), [])
    equal("the answer", response.output_text, "Sorry.")
