"""The gateway's errors, in the form of the OpenAI API."""

from typing import Any

from fastapi.responses import JSONResponse


def error_body(message: str, code: str) -> dict[str, Any]:
    """Return the JSON of an error."""
    return {"error": {"message": message, "type": "api_error", "code": code, "param": None}}


def error_answer(status: int, message: str, code: str) -> JSONResponse:
    """Return an answer that is an error, which asks SDKs not to try again."""
    # The gateway has tried as often as it is worth: https://github.com/openai/openai-python#retries
    return JSONResponse(error_body(message, code), status, headers={"x-should-retry": "false"})
