"""What our routes take, as an OpenAPI document that schemathesis makes requests from."""

from typing import Any, get_args

from fastapi import FastAPI
from fastapi.routing import APIRoute

from k8gentai.agents.definition import MultitaskStrategy
from k8gentai.providers import host, routes
from k8gentai.providers.agents_api import routes as agents_routes

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


def _describe_creation(document: dict[str, Any]) -> None:
    """Say what ``POST /v1/responses`` takes: what the host's own does, and what is ours."""
    body = host.CreateResponseRequest.model_json_schema(ref_template="#/components/schemas/{model}")
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
