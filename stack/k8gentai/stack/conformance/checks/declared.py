"""The same definition without any code runs in every framework."""

from k8gentai.stack.conformance.capabilities import Capability, check
from k8gentai.stack.conformance.expect import equal, holds, one
from k8gentai.stack.conformance.lab import Lab, calls, items
from k8gentai.stack.conformance.scripted import Answer, Call


@check(Capability.DECLARED)
async def its_prompt_is_the_systems(lab: Lab) -> None:
    lab.script(Answer("Yes."))
    equal("the answer", (await lab.answer("declared")).output_text, "Yes.")
    told = lab.requests()[0].texts("system")
    holds("the prompt is in a system message", any("You know every book." in text for text in told), told)


@check(Capability.DECLARED)
async def parameters_of_the_request_go_before_the_definitions(lab: Lab) -> None:
    await lab.answer("declared", temperature=0.25, max_output_tokens=99)
    body = lab.requests()[0].body
    # Both names of the limit are in use: https://platform.openai.com/docs/api-reference/chat/create
    limit = body.get("max_tokens") or body.get("max_completion_tokens")
    found = (body.get("temperature"), body.get("top_p"), limit)
    equal("temperature, the definition's top_p, and most tokens", found, (0.25, 0.5, 99))


@check(Capability.DECLARED_TOOLS)
async def functions_that_the_definition_names_are_called(lab: Lab) -> None:
    lab.script(Answer(Call("add", {"a": 19, "b": 23}), lab.write("one")), Answer("Done."))
    response = await lab.answer("declared-tools")
    arguments = {"path": str(lab.page), "line": "one"}
    equal("the calls", calls(response), [("add", {"a": 19, "b": 23}), ("write", arguments)])
    equal("the sum", float(items(response, "mcp_call")[0].output or "nan"), 42)
    line = one("lines written", lab.lines())
    holds("the tool was told an idempotency key", line.split()[1] != "None", line)
    equal("the answer", response.output_text, "Done.")
