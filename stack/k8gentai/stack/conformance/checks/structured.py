"""Structured output: the schema that the request asks for is the model's to keep."""

import json

from k8gentai.stack.conformance.capabilities import Capability, check
from k8gentai.stack.conformance.expect import equal
from k8gentai.stack.conformance.lab import Lab, calls
from k8gentai.stack.conformance.scripted import Answer, Call

_BOOK = {
    "type": "object",
    "properties": {"title": {"type": "string"}, "year": {"type": "integer"}},
    "required": ["title", "year"],
    "additionalProperties": False,
}
_EMMA = {"title": "Emma", "year": 1815}


_WANTED = {"type": "json_schema", "name": "book", "schema": _BOOK, "strict": True}


@check(Capability.STRUCTURED)
async def the_schema_of_the_request_reaches_the_model(lab: Lab) -> None:
    lab.script(Answer(json.dumps(_EMMA)))
    response = await lab.answer("declared", text={"format": _WANTED})
    equal("the answer", json.loads(response.output_text), _EMMA)
    asked = lab.requests()[0].body.get("response_format") or {}
    equal("the format's type", asked.get("type"), "json_schema")
    schema = asked["json_schema"]
    equal("the schema's name", schema.get("name"), "book")
    equal("its required properties", schema["schema"]["required"], ["title", "year"])


@check(Capability.STRUCTURED)
async def an_agent_with_code_answers_by_the_schema_of_the_request(lab: Lab) -> None:
    lab.script(Answer(json.dumps(_EMMA)))
    response = await lab.answer("plain", text={"format": _WANTED})
    equal("the answer", json.loads(response.output_text), _EMMA)


@check(Capability.STRUCTURED, Capability.TOOLS)
async def an_agent_with_code_and_tools_answers_by_it_too(lab: Lab) -> None:
    lab.script(Answer("I add. ", Call("add", {"a": 19, "b": 23})), Answer(json.dumps(_EMMA)))
    response = await lab.answer("calculator", text={"format": _WANTED})
    equal("the calls", calls(response), [("add", {"a": 19, "b": 23})])
    equal("the answer", json.loads(response.output_text), _EMMA)
