"""Puts a shape on a stage: scripts its model, and looks at what a client was shown."""

import json
from typing import Any

from k8gentai.stack.conformance.lab import Lab, completed, items
from k8gentai.stack.conformance.scripted import Answer, Call, Received, ScriptedModel
from tests.conformance.shapes.shape import Answers, Shape

LOOK, PAY, FAIL = "look", "pay", "fail"
AMOUNT = 120


def calls(shape: Shape, *answers: Answer) -> Answers:
    """The answers that call tools, where the shape has any."""
    return answers if shape.tools else ()


def script(model: ScriptedModel, key: str, shape: Shape, called: Answers, *final: Answer) -> dict[str, Answers]:
    """Have the model answer as a shape wants it. Returns what it answers, by key."""
    scripts = {key + part: answers for part, answers in shape.script(key, called, final).items()}
    for name, answers in scripts.items():
        model.script(name, *answers)
    return scripts


def go_on(model: ScriptedModel, before: dict[str, Answers], key: str, shape: Shape, final: Answer) -> None:
    """Have the model answer another turn of a conversation, of which its prompts may have the key first."""
    for part, answers in shape.script(key, (), (final,)).items():
        model.script(key + part, *before.get(key + part, ()), *answers)


def looking(page: object) -> Answer:
    """The answer that has the shape's agent look something up."""
    return Answer("I ", "look. ", Call(LOOK, {"path": str(page), "item": "tea"}))


def requests(model: ScriptedModel, key: str) -> list[Received]:
    """The requests of a key and of its parts."""
    return [request for request in model.requests() if (request.key or "").startswith(key)]


def told(model: ScriptedModel, key: str, first: int = 0) -> str:
    """All that the model was told in the requests of a key, but for the first ones."""
    asked = requests(model, key)[first:]
    return "\n".join(json.dumps(request.messages, ensure_ascii=False) for request in asked)


def texts(response: Any) -> list[str]:
    """The texts of a response's messages."""
    return ["".join(part.text for part in item.content) for item in items(response, "message")]


def check_texts(events: list[Any]) -> None:
    """Every text of the final response was streamed, once."""
    streamed: dict[str, str] = {}
    for event in events:
        if event.type == "response.output_text.delta":
            streamed[event.item_id] = streamed.get(event.item_id, "") + event.delta
    response = events[-1].response
    ids = [item.id for item in items(response, "message")]
    assert [streamed.get(item_id) for item_id in ids] == texts(response)
    shown = [text for text in texts(response) if text]
    assert len(set(shown)) == len(shown), f"a text came twice: {shown}"


async def approve(lab: Lab, response: Any) -> Any:
    """Approve all that a turn asks, until it is done."""
    while asked := items(response, "mcp_approval_request"):
        answers = [
            {"type": "mcp_approval_response", "approval_request_id": request.id, "approve": True}
            for request in asked
        ]
        response = completed(await lab.send(model=response.model, input=answers, previous_response_id=response.id))
    return response
