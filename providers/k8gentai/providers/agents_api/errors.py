"""Errors in the classic API's shape: ``{"error": {"detail": …}}``, with what a program wants beside it."""

from typing import Any

from pydantic import BaseModel, ValidationError

from k8gentai.providers.errors import ApiError, invalid

_NO_RETRY = {"X-Should-Retry": "false"}
"""The clients would send the request again, which changes nothing."""


def error_body(error: ApiError) -> dict[str, Any]:
    """Return the JSON body. Where a field is at fault, ``detail`` lists it as the API's own servers did."""
    detail: Any = error.message
    if error.param and error.status_code == 400:
        detail = {"errors": [{"loc": ["body", *error.param.split(".")], "msg": error.message, "type": error.code}]}
    return {"error": {"detail": detail, "message": error.message, "code": error.code, "param": error.param}}


def not_supported(param: str, reason: str) -> ApiError:
    """Return what the API has and we have not (501)."""
    return ApiError(
        501, f"'{param}' is not supported: {reason}", code="not_supported", param=param, headers=_NO_RETRY
    )


def not_found(what: str, id_: str, how_to_list: str) -> ApiError:
    """Return the error of a request for an agent, session, turn or step that is not there or that this caller may
    not see (404)."""
    message = f"{what} '{id_}' was not found. {how_to_list}"
    return ApiError(404, message, code=f"{what.lower()}_not_found", param=f"{what.lower()}_id")


def turn_error(turn_id: str, error: dict[str, str]) -> ApiError:
    """Return a turn that went wrong, told to a client that waited for it without a stream."""
    status = 400 if error["code"] == "invalid_request" else 500
    message = f"Turn '{turn_id}' went wrong: {error['message']}"
    return ApiError(status, message, code=error["code"], headers=_NO_RETRY)


def read[Model: BaseModel](model: type[Model], body: Any) -> Model:
    """Check a request's body.

    Raises:
        ApiError: naming the field at fault (400).
    """
    if not isinstance(body, dict):
        raise invalid("The body must be a JSON object.")
    try:
        return model.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        param = _field(first["loc"], body)
        raise invalid(f"'{param}': {first['msg'].rstrip('.')}.", param) from None


def _field(place: tuple[int | str, ...], body: Any) -> str:
    """Return where in the body an error is. Pydantic puts the ways of its unions between the fields' names."""
    found, value = "", body
    for index, part in enumerate(place):
        if isinstance(part, int):
            found += f"[{part}]"
            value = value[part] if isinstance(value, list) and part < len(value) else None
        elif isinstance(value, dict) and (part in value or index == len(place) - 1):
            found += f".{part}" if found else part
            value = value.get(part)
    return found
