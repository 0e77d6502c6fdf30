"""A model that refuses, fails or hangs up, and an agent that raises: each ends its turn, and is told why."""

from k8gentai.stack.conformance.capabilities import Capability, check
from k8gentai.stack.conformance.expect import contains, equal, holds
from k8gentai.stack.conformance.lab import MODEL, Lab, failed, items, said
from k8gentai.stack.conformance.scripted import HANG_UP, Answer, Call, Refuse

_NAME = MODEL.partition("/")[2]
_MOST_TRIES = 3
"""Either the stack's own client or the gateway tries again: not both, nor the agent's SDK on top."""


async def _refused(lab: Lab, status: int, reason: str) -> None:
    lab.script(*(Refuse(status, "no capacity today", retry_after=0) for _ in range(30)))
    failed(await lab.ask("plain"), reason, _NAME, str(status), "no capacity today")
    tries = len(lab.requests())
    holds(f"at most {_MOST_TRIES} tries", tries <= _MOST_TRIES, tries)


@check(Capability.MODEL_FAILURE)
async def a_model_that_is_busy_for_long_fails_the_turn(lab: Lab) -> None:
    await _refused(lab, 429, "rate_limit_exceeded")


@check(Capability.MODEL_FAILURE)
async def a_model_that_breaks_fails_the_turn(lab: Lab) -> None:
    await _refused(lab, 500, "model_error")


@check(Capability.MODEL_FAILURE)
async def a_refusal_that_no_retry_mends_is_not_retried(lab: Lab) -> None:
    lab.script(*(Refuse(400, "context too long") for _ in range(5)))
    failed(await lab.ask("plain"), "model_error", _NAME, "context too long")
    equal("model calls", len(lab.requests()), 1)


@check(Capability.MODEL_FAILURE)
async def a_model_that_is_busy_once_is_asked_again(lab: Lab) -> None:
    lab.script(Refuse(429, "busy", retry_after=0), Answer("Now."))
    equal("the answer", (await lab.answer("plain")).output_text, "Now.")


@check(Capability.MODEL_FAILURE)
async def a_model_that_hangs_up_fails_the_turn(lab: Lab) -> None:
    """See that words that were streamed stay streamed: the call is not made again."""
    lab.script(Answer("Half an ", "ans", HANG_UP), *(Answer("Not asked for.") for _ in range(5)))
    events = await lab.stream("plain")
    failed(events[-1].response, "model_error", _NAME)
    contains("what was said", "Half an ans", said(events))
    equal("model calls", len(lab.requests()), 1)


@check(Capability.MODEL_FAILURE, Capability.TOOLS)
async def what_tools_did_before_stays(lab: Lab) -> None:
    lab.script(Answer(Call("add", {"a": 1, "b": 2})), Answer("The ", HANG_UP))
    response = await lab.ask("calculator")
    failed(response, "model_error", _NAME)
    equal("results of calls", [float(call.output) for call in items(response, "mcp_call")], [3])


@check(Capability.AGENT_FAILURE)
async def an_agent_that_raises_fails_its_turn(lab: Lab) -> None:
    failed(await lab.ask("raising"), "agent_error", "broken on purpose")
    lab.script(Answer("Still here."), part="next")
    equal("the next turn's answer", (await lab.answer("plain", part="next")).output_text, "Still here.")
