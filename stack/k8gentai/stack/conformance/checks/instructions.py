"""The request's instructions and the definition's model reach every model call."""

from k8gentai.stack.conformance.capabilities import Capability, check
from k8gentai.stack.conformance.expect import equal, holds
from k8gentai.stack.conformance.lab import MODEL, Lab
from k8gentai.stack.conformance.scripted import Answer


@check(Capability.INSTRUCTIONS)
async def instructions_of_the_request_reach_the_model(lab: Lab) -> None:
    await lab.answer("plain", instructions="Answer in Latin.")
    told = lab.requests()[0].texts("system")
    holds("the instructions are in a system message", any("Answer in Latin." in text for text in told), told)


@check(Capability.INSTRUCTIONS)
async def they_are_for_one_request_only(lab: Lab) -> None:
    lab.script(Answer("Salve."), Answer("Hello."))
    first = await lab.answer("plain", instructions="Answer in Latin.")
    await lab.answer("plain", previous_response_id=first.id)
    told = str(lab.requests()[1].messages)
    holds("the second request does not have the first one's", "Answer in Latin." not in told, told)


@check(Capability.MODEL)
async def the_definitions_model_goes_before_the_codes(lab: Lab) -> None:
    """The agents' code names another one."""
    await lab.answer("plain")
    equal("the model asked for", lab.requests()[0].body["model"], MODEL.partition("/")[2])
