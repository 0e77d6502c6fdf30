"""A turn that takes too long, or wants too many model calls, is ended with words that say so."""

from k8gentai.stack.conformance.capabilities import Capability, check
from k8gentai.stack.conformance.expect import equal
from k8gentai.stack.conformance.kit import SECONDS, STEPS
from k8gentai.stack.conformance.lab import Lab, failed
from k8gentai.stack.conformance.scripted import FOREVER, Answer, Call


@check(Capability.LIMITS)
async def a_turn_that_takes_too_long_is_ended(lab: Lab) -> None:
    lab.script(Answer("On and ", FOREVER))
    failed(await lab.ask("hasty"), "time_limit", f"{SECONDS:g} s")
    await (await lab.request()).wait_closed()
    lab.script(Answer("Still here."), part="next")
    equal("the next turn's answer", (await lab.answer("plain", part="next")).output_text, "Still here.")


@check(Capability.LIMITS, Capability.TOOLS)
async def a_turn_may_make_so_many_model_calls(lab: Lab) -> None:
    lab.script(*(Answer(Call("add", {"a": number, "b": 1})) for number in range(STEPS + 5)))
    failed(await lab.ask("stepper"), "step_limit", str(STEPS))
    equal("model calls", len(lab.requests()), STEPS)
