"""A tool that wants approval: the turn is suspended, and goes on with what a person decides."""

import json
from typing import Any

from k8gentai.stack.conformance.capabilities import Capability, check
from k8gentai.stack.conformance.expect import contains, equal, one
from k8gentai.stack.conformance.lab import Lab, completed, items
from k8gentai.stack.conformance.scripted import Answer


async def _suspended(lab: Lab, agent: str = "guarded") -> tuple[Any, Any]:
    """Return a turn that waits before it writes a line, and its request."""
    lab.script(Answer("I shall write. ", lab.write("one")), Answer("That is it."))
    response = await lab.answer(agent)
    return response, one("approval requests", items(response, "mcp_approval_request"))


async def _decide(lab: Lab, asked: Any, *requests: Any, approve: bool, **more: str) -> Any:
    """Return the turn that goes on."""
    answers = [
        {
            "type": "mcp_approval_response",
            "approval_request_id": request.id,
            "approve": approve,
            **more,
        }
        for request in requests
    ]
    return completed(await lab.send(model=asked.model, previous_response_id=asked.id, input=answers))


@check(Capability.APPROVAL, Capability.TOOLS)
async def a_turn_that_asks_is_suspended_with_the_exact_arguments(lab: Lab) -> None:
    response, request = await _suspended(lab)
    arguments = {"path": str(lab.page), "line": "one"}
    equal("what is asked for", (request.name, json.loads(request.arguments)), ("write", arguments))
    equal("what was said before", response.output_text, "I shall write. ")
    equal("lines written", lab.lines(), [])
    equal("the turn's status in Redis", (await lab.record(response.id)).status, "suspended")


@check(Capability.APPROVAL, Capability.TOOLS)
async def an_approved_call_runs_and_nothing_else_again(lab: Lab) -> None:
    response, request = await _suspended(lab)
    done = await _decide(lab, response, request, approve=True)
    equal("the output's items", [item.type for item in done.output], ["mcp_call", "message"])
    equal("the call's result", done.output[0].output, "wrote one")
    equal("the answer", done.output_text, "That is it.")
    equal("lines written", [line.split()[0] for line in lab.lines()], ["one"])
    equal("model calls of both turns", len(lab.requests()), 2)


@check(Capability.APPROVAL, Capability.TOOLS)
async def a_denied_call_does_not_run_and_the_model_is_told_why(lab: Lab) -> None:
    response, request = await _suspended(lab)
    done = await _decide(lab, response, request, approve=False, reason="Not on a Sunday.")
    equal("the answer", done.output_text, "That is it.")
    equal("the calls that were made", items(done, "mcp_call"), [])
    contains("what the model is shown", lab.requests()[-1].texts("tool"), "Not on a Sunday.")
    equal("lines written", lab.lines(), [])


@check(Capability.APPROVAL, Capability.TOOLS)
async def a_decision_that_comes_too_late_is_a_denial(lab: Lab) -> None:
    """The definition's ``limits.approvalSeconds`` are over at once."""
    response, request = await _suspended(lab, "impatient")
    done = await _decide(lab, response, request, approve=True)
    contains("the call's error", items(done, "mcp_call")[0].error, "in time")
    equal("lines written", lab.lines(), [])


@check(Capability.APPROVAL, Capability.TOOLS)
async def calls_of_one_answer_are_all_asked_for(lab: Lab) -> None:
    lab.script(Answer(lab.write("one"), lab.write("two")), Answer("Both."))
    response = await lab.answer("guarded")
    asked = 0
    while requests := items(response, "mcp_approval_request"):
        # A framework that runs one tool after the other asks one by one.
        asked += len(requests)
        response = await _decide(lab, response, *requests, approve=True)
    equal("calls asked for", asked, 2)
    equal("the answer", response.output_text, "Both.")
    equal("lines written", sorted(line.split()[0] for line in lab.lines()), ["one", "two"])
    equal("model calls of all turns", len(lab.requests()), 2)
