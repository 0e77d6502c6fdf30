"""Function tools of a request end the turn; the client runs them and comes back with their results."""

import json

from k8gentai.stack.conformance.capabilities import Capability, check
from k8gentai.stack.conformance.expect import equal, one
from k8gentai.stack.conformance.lab import Lab, completed, items
from k8gentai.stack.conformance.scripted import Answer, Call

_LOOK_UP = {
    "type": "function",
    "name": "look_up",
    "description": "Find a book.",
    "parameters": {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]},
}


@check(Capability.CLIENT_TOOLS)
async def a_call_ends_the_turn_and_its_result_goes_on(lab: Lab) -> None:
    lab.script(Answer(Call("look_up", {"title": "Emma"}, id="call_7")), Answer("By Austen."))
    first = await lab.answer("declared", tools=[_LOOK_UP])
    call = one("calls for the client", items(first, "function_call"))
    equal("the call", (call.name, json.loads(call.arguments)), ("look_up", {"title": "Emma"}))
    # A framework may offer tools of its own beside it.
    named = [tool["function"] for tool in lab.requests()[0].body["tools"]]
    offered = one("look_up offered to the model", [tool for tool in named if tool["name"] == "look_up"])
    equal("the tool's parameters", list(offered["parameters"]["properties"]), ["title"])
    output = {"type": "function_call_output", "call_id": call.call_id, "output": "Jane Austen"}
    second = await lab.send(model="declared", input=[output], tools=[_LOOK_UP], previous_response_id=first.id)
    equal("the answer", completed(second).output_text, "By Austen.")
    equal("the result shown to the model", lab.requests()[1].texts("tool"), ["Jane Austen"])
