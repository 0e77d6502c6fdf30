"""Text is streamed token by token, and is the turn's answer."""

import asyncio

from k8gentai.stack.conformance.capabilities import Capability, check
from k8gentai.stack.conformance.expect import contains, equal
from k8gentai.stack.conformance.lab import Lab, completed, read, said
from k8gentai.stack.conformance.scripted import Answer, Gate


@check(Capability.TEXT)
async def an_answer_is_the_only_message(lab: Lab) -> None:
    lab.script(Answer("All ", "at once."))
    response = await lab.answer("plain")
    equal("the answer", response.output_text, "All at once.")
    equal("the output's items", [item.type for item in response.output], ["message"])


@check(Capability.TEXT)
async def an_empty_answer_ends_the_turn(lab: Lab) -> None:
    """A framework may ask again, or take the empty answer; it must not wait for ever or make up text."""
    lab.script(*(Answer() for _ in range(30)))
    equal("the text", said(await lab.stream("plain")), "")


@check(Capability.TEXT_DELTAS)
async def text_is_streamed_while_the_model_speaks(lab: Lab) -> None:
    """The model goes on only once its first words have come to the client."""
    gate = Gate()
    lab.script(Answer("One ", "two ", gate, "three."))
    turn_id = await lab.begin("plain")
    heard = ""
    try:
        async with asyncio.timeout(20):
            async for event in await lab.client.responses.retrieve(turn_id, stream=True):
                heard += event.delta if event.type == "response.output_text.delta" else ""
                if heard == "One two ":
                    gate.open()
    except TimeoutError:
        contains("what came while the model still spoke", heard, "One two ")
        raise
    finally:
        gate.open()
    events = await read(await lab.client.responses.retrieve(turn_id, stream=True))
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    equal("the pieces of the text", deltas, ["One ", "two ", "three."])
    equal("the answer", completed(events[-1].response).output_text, "One two three.")
