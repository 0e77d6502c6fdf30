"""What several tests of this folder say."""

import json

from k8gentai.workers.queue import keys
from tests.integration.helpers import check_sequence, collect, ended, eventually, prompt, text_of
from tests.scripted import Call

__all__ = [
    "answer",
    "check_sequence",
    "collect",
    "ended",
    "eventually",
    "items_of",
    "prompt",
    "shapes_of",
    "steps_of",
    "text_of",
    "write",
]


def items_of(response, kind):
    """The output items of one type."""
    return [item for item in response.output if item.type == kind]


def shapes_of(requests):
    """The name of the form that each model call asks its answer to have, None for one without."""
    asked = [request.body.get("response_format") for request in requests]
    return [shape and shape["json_schema"]["name"] for shape in asked]


def write(page, line, tool="write"):
    """A call of one of the scribe's tools."""
    return Call(tool, {"path": str(page), "line": str(line)})


def steps_of(stack, turn_id):
    """The names of a turn's model calls, in order."""
    with stack.redis() as redis:
        events = [json.loads(fields[b"e"]) for _, fields in redis.xrange(keys.TURN + turn_id + keys.EVENTS)]
    return [e["name"] for e in events if e["type"] == "step.started" and e["kind"] == "inference"]


async def answer(client, asked, request, **decision):
    """Answer an approval request. Returns the turn that goes on."""
    said = {"type": "mcp_approval_response", "approval_request_id": request.id, **decision}
    return await client.responses.create(model=asked.model, input=[said], previous_response_id=asked.id)
