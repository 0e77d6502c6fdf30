"""Several tools of one answer run at the same time."""

from k8gentai.stack.conformance.capabilities import Capability, check
from k8gentai.stack.conformance.expect import equal
from k8gentai.stack.conformance.lab import Lab, completed, items
from k8gentai.stack.conformance.scripted import Answer


@check(Capability.PARALLEL_TOOLS, Capability.TOOLS)
async def neither_waits_for_the_other(lab: Lab) -> None:
    lab.script(Answer(lab.write("one", "linger"), lab.write("two", "linger")), Answer("Both."))
    turn_id = await lab.begin("scribe")
    try:
        # Neither comes back before both have begun.
        await lab.written(2)
    finally:
        lab.release()
    response = completed((await lab.follow(turn_id))[-1].response)
    results = [call.output for call in items(response, "mcp_call")]
    equal("results in the order of the calls", results, ["wrote one", "wrote two"])
    equal("results shown to the model", lab.requests()[1].texts("tool"), ["wrote one", "wrote two"])


@check(Capability.TOOLS)
async def equal_calls_of_one_answer_both_run(lab: Lab) -> None:
    lab.script(Answer(lab.write("same"), lab.write("same")), Answer("Both."))
    response = await lab.answer("scribe")
    equal("the answer", response.output_text, "Both.")
    equal("lines written, with keys of their own", len(set(lab.lines())), 2)
    equal("calls told", len(items(response, "mcp_call")), 2)
