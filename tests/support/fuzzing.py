"""What our routes take, as an OpenAPI document that schemathesis makes requests from."""

from typing import Any, get_args

from fastapi import FastAPI
from fastapi.routing import APIRoute
from openresponses_types import types as open_responses

from k8gentai.agents.resources.agent import MultitaskStrategy
from k8gentai.providers import host
from k8gentai.providers.agents_api import routes as agents_routes
from k8gentai.providers.responses_api import routes

_REF = "#/components/schemas/{model}"

_ITEMS = (
    "UserMessageItemParam",
    "SystemMessageItemParam",
    "DeveloperMessageItemParam",
    "AssistantMessageItemParam",
    "FunctionCallItemParam",
    "FunctionCallOutputItemParam",
    "ReasoningItemParam",
)
"""Items that a request may bring. A reference to another item is not served: docs/open-responses.md."""

KNOWN = {
    "response_id": ["known-turn"],
    "previous_response_id": ["known-turn"],
    "conversation": ["known-session"],
    "model": ["math", "sick", "openai/gpt-4o"],
    "agent_id": ["known-agent", "math", "sick"],
    "session_id": ["known-session"],
    "turn_id": ["known-turn"],
    "step_id": ["known-step"],
    "turn_ids": ["known-turn"],
    "after": ["known-turn"],
    "toolgroup_id": ["mcp::wiki"],
}
"""What there is, by the field that names it. Ids are made anew for each request, and a request is the same in each
run: the test puts them where ``known-`` stands."""


def described() -> dict[str, Any]:
    """The OpenAPI document of all routes, hidden ones too."""
    # Only a request would need what the routes call.
    service: Any = None
    responses = routes.create_router(service)
    for route in responses.routes:
        if isinstance(route, APIRoute):
            # Where OpenAPI describes the Responses API, it is the host that does.
            route.include_in_schema = True
    app = FastAPI()
    app.include_router(responses)
    app.include_router(agents_routes.create_router(service))
    document = app.openapi()
    _describe_creation(document)
    _name_known(document)
    return document


def valid_turns() -> dict[str, Any]:
    """An OpenAPI document of ``POST /v1/responses`` alone, whose requests reach an agent: agents that are there,
    and items, tools and parameters as the Open Responses specification has them."""
    body = open_responses.CreateResponseBody.model_json_schema(ref_template=_REF)
    schemas = body.pop("$defs")
    items = [schemas[name] for name in _ITEMS]
    for item in items:
        # The schema's authors leave out what its types say by default.
        item["required"] = sorted({*item.get("required", ()), "type"})
    # docs/open-responses.md: no host knows videos.
    schemas["InputVideoContent"] = schemas["InputTextContentParam"]
    # Says the specification: one of its forms must be there. This one is what agents of every framework take.
    schemas["InputFileContentParam"]["required"].append("file_data")
    schemas["InputFileContentParam"]["properties"]["file_data"] = {"const": "data:text/plain;base64,SGk="}
    del schemas["InputFileContentParam"]["properties"]["file_url"]
    schemas["InputFileContentParam"]["additionalProperties"] = False
    # The host knows this field, of which the specification says nothing.
    schemas["ReasoningItemParam"]["properties"]["status"] = {"enum": ["in_progress", "completed", "incomplete"]}
    fields = body["properties"]
    fields["model"] = {"enum": ["math", "amf/math", "openai/gpt-4o"]}
    fields["input"] = {
        "type": "array",
        "minItems": 1,
        "maxItems": 5,
        "items": {"anyOf": [{"$ref": _REF.format(model=name)} for name in _ITEMS]},
    }
    # What nothing would be done about is refused.
    del schemas["ReasoningParam"]["properties"]["summary"]
    body["additionalProperties"] = schemas["ReasoningParam"]["additionalProperties"] = False
    # What the schema says of these in words.
    fields["temperature"] = _number(0, 2)
    fields["top_p"] = _number(0, 1)
    fields["presence_penalty"] = fields["frequency_penalty"] = _number(-2, 2)
    # There may be no tool, which is wrong where one is required.
    fields["tool_choice"] = {"enum": ["auto", "none"]}
    for name in ("previous_response_id", "background", "stream_options", "text", "top_logprobs", "include"):
        # Of each, what is right hangs on something else.
        del fields[name]
    body["required"] = ["model", "input", "tools"]
    operation = {
        "requestBody": {"content": {"application/json": {"schema": body}}, "required": True},
        "responses": {"200": {"description": "A response."}},
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Turns", "version": "1"},
        "paths": {"/v1/responses": {"post": operation}},
        "components": {"schemas": schemas},
    }


def _number(least: float, most: float) -> dict[str, Any]:
    return {"anyOf": [{"type": "number", "minimum": least, "maximum": most}, {"type": "null"}]}


def _describe_creation(document: dict[str, Any]) -> None:
    """Say what ``POST /v1/responses`` takes: what the host's own does, and what is ours."""
    body = host.CreateResponseRequest.model_json_schema(ref_template=_REF)
    document["components"]["schemas"] |= body.pop("$defs")
    body["properties"]["multitask_strategy"] = {"enum": [*get_args(MultitaskStrategy), None]}
    document["paths"]["/v1/responses"]["post"]["requestBody"] = {
        "content": {"application/json": {"schema": body}},
        "required": True,
    }


def _name_known(value: Any) -> None:
    """Let each parameter and field that names something name what there is."""
    if isinstance(value, list):
        for inner in value:
            _name_known(inner)
    elif isinstance(value, dict):
        if "in" in value and value["name"] in KNOWN:
            value["schema"] = _known_or_not(value["name"])
        properties = value.get("properties", {})
        for name in properties.keys() & KNOWN.keys():
            properties[name] = _known_or_not(name)
        for inner in value.values():
            _name_known(inner)


def _known_or_not(name: str) -> dict[str, Any]:
    return {"enum": [*KNOWN[name], "nobody"]}
