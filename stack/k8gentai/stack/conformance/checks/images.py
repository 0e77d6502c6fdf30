"""Images reach the model, whoever brings them; as text they never do."""

from typing import Any

from k8gentai.stack.conformance.capabilities import Capability, check
from k8gentai.stack.conformance.expect import equal, holds
from k8gentai.stack.conformance.lab import Lab, completed, items
from k8gentai.stack.conformance.scripted import Answer, Call, Received
from k8gentai.stack.conformance.tools import PIXEL


def _images(request: Received) -> list[Any]:
    """Return the addresses of the images in a model call."""
    contents = [message["content"] for message in request.messages if isinstance(message.get("content"), list)]
    parts = [part for content in contents for part in content if part.get("type") == "image_url"]
    return [part["image_url"]["url"] for part in parts]


async def _shown(lab: Lab, agent: str) -> None:
    lab.script(Answer("A pixel."))
    asked = {"type": "input_text", "text": lab.prompt("What is it?")}
    image = {"type": "input_image", "image_url": PIXEL, "detail": "auto"}
    message = {"type": "message", "role": "user", "content": [asked, image]}
    response = completed(await lab.send(model=agent, input=[message]))
    equal("the answer", response.output_text, "A pixel.")
    request = lab.requests()[0]
    equal("the images the model is shown", _images(request), [PIXEL])
    holds("no text holds the image", not any("base64" in text for text in request.texts("user")), request.messages)


@check(Capability.IMAGES)
async def one_of_the_request_is_shown_to_the_model(lab: Lab) -> None:
    await _shown(lab, "plain")


@check(Capability.IMAGES, Capability.DECLARED)
async def one_of_the_request_is_shown_to_the_model_of_a_declared_agent(lab: Lab) -> None:
    await _shown(lab, "declared")


@check(Capability.IMAGES, Capability.DECLARED_TOOLS)
async def one_that_a_tool_returns_is_shown_to_the_model(lab: Lab) -> None:
    lab.script(Answer(Call("picture", {})), Answer("A pixel."))
    response = await lab.answer("declared-tools")
    equal("the result", items(response, "mcp_call")[0].output, "Seen.\n[image]")
    equal("the answer", response.output_text, "A pixel.")
    request = lab.requests()[1]
    equal("the result as the model sees it", request.texts("tool"), ["Seen.\n[image]"])
    equal("the images the model is shown", _images(request), [PIXEL])
