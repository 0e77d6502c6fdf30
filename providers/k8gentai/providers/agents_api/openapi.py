"""Describes in the server's ``/openapi.json`` the bodies that our routes read themselves."""

from typing import Any

from pydantic import BaseModel


def takes(model: type[BaseModel]) -> dict[str, Any]:
    """Return a route's ``openapi_extra`` that names its body: one of these."""
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})
    body = {"content": {"application/json": {"schema": _inlined(schema, definitions)}}, "required": True}
    return {"requestBody": body}


def _inlined(value: Any, definitions: dict[str, Any]) -> Any:
    """Return the schema without references, which FastAPI would have to know. Ours do not refer to themselves."""
    if isinstance(value, list):
        return [_inlined(each, definitions) for each in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        return _inlined(definitions[value["$ref"].rpartition("/")[2]], definitions)
    # A discriminator's mapping refers as well, and adds nothing to what the ways themselves say.
    return {name: _inlined(each, definitions) for name, each in value.items() if name != "discriminator"}
