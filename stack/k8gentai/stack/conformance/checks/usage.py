"""Tokens are counted from the model's own figures, and summed over a turn's model calls."""

from k8gentai.stack.conformance.capabilities import Capability, check
from k8gentai.stack.conformance.expect import equal
from k8gentai.stack.conformance.lab import Lab, completed
from k8gentai.stack.conformance.scripted import Answer, Call


@check(Capability.USAGE)
async def tokens_of_one_call_are_counted(lab: Lab) -> None:
    lab.script(Answer("Counted.", usage=(31, 5)))
    usage = (await lab.answer("plain")).usage
    equal("tokens in and out", (usage.input_tokens, usage.output_tokens), (31, 5))


@check(Capability.USAGE, Capability.TOOLS)
async def tokens_of_several_calls_are_summed(lab: Lab) -> None:
    lab.script(Answer(Call("add", {"a": 1, "b": 2}), usage=(31, 5)), Answer("Three.", usage=(40, 2)))
    usage = completed((await lab.stream("calculator"))[-1].response).usage
    equal("tokens in and out", (usage.input_tokens, usage.output_tokens), (71, 7))
