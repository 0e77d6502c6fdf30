"""Errors a client of ours sees, in the shape of the OpenAI API."""

from typing import Any

_WORDS = 2_000
"""Characters of a message that are sent: it may repeat what the client sent, which may be large."""


class ApiError(Exception):
    """A request that cannot be served.

    Args:
        status: the HTTP status.
        message: for a person; carries no stack trace and no secret. Cut in the middle where it is long.
        code: for a program.
        param: the request's field at fault, if one is.
        headers: HTTP headers to send along.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        if len(message) > _WORDS:
            message = f"{message[: _WORDS // 2]} … {message[-_WORDS // 2 :]}"
        super().__init__(message)
        # The host translates errors that carry this name.
        self.status_code = status
        self.message = message
        self.code = code
        self.param = param
        self.headers = headers or {}

    def body(self) -> dict[str, Any]:
        """Return the JSON body."""
        return {"error": {"message": self.message, "type": self._type, "param": self.param, "code": self.code}}

    @property
    def _type(self) -> str:
        if self.status_code == 429:
            return "rate_limit_error"
        return "server_error" if self.status_code >= 500 else "invalid_request_error"


def invalid(message: str, param: str | None = None, code: str = "invalid_value") -> ApiError:
    """Return the error of a request whose content is wrong (400)."""
    return ApiError(400, message, code=code, param=param)


def response_not_found(response_id: str) -> ApiError:
    """Return the error of a request for a response that is not there or that this caller may not see (404)."""
    return ApiError(404, _no_response(response_id), code="response_not_found", param="response_id")


MODEL_NOT_FOUND = "model_not_found"
"""The code of a request whose ``model`` names nothing that is there."""


def agent_gone(response_id: str, agent: str) -> ApiError:
    """Return the error of an answer to a response that waits for it, and whose agent is not there (404)."""
    message = (
        f"Response '{response_id}' waits for this answer, but its agent '{agent}' is not registered any more. "
        "Nothing was decided: register the agent again and send the answer then."
    )
    return ApiError(404, message, code=MODEL_NOT_FOUND, param="model")


def agent_not_loaded(response_id: str, agent: str, reason: str) -> ApiError:
    """Return the error of an answer to a response that waits for it, whose agent no worker can import (503)."""
    message = (
        f"Response '{response_id}' waits for this answer, but no worker can import its agent '{agent}': {reason}. "
        "Nothing was decided: mend that and send the answer then."
    )
    # The openai SDK would try again; that mends nothing.
    headers = {"X-Should-Retry": "false"}
    return ApiError(503, message, code="agent_unavailable", param="model", headers=headers)


def previous_response_not_found(response_id: str) -> ApiError:
    """Return the error of a response to go on from that is not there, or is none this caller may see (404)."""
    code = "previous_response_not_found"
    return ApiError(404, _no_response(response_id), code=code, param="previous_response_id")


def _no_response(response_id: str) -> str:
    """Return the message in the words of the host, by which its clients' own tests know it."""
    return f"Response '{response_id}' not found. Use 'client.responses.list()' to list available Responses."


def conversation_busy(turn_id: str) -> ApiError:
    """Return the error of a turn that was not to wait for its conversation's (409): it was not accepted."""
    return ApiError(
        409,
        f"The conversation has a turn under way that this one may not end ('{turn_id}'). Wait for it, cancel it, "
        "or send the request with 'multitask_strategy': 'enqueue'.",
        code="conversation_busy",
        param="conversation",
        # The openai SDK would try again at once, and again too soon.
        headers={"X-Should-Retry": "false"},
    )


def server_stopping(response_id: str) -> ApiError:
    """Return the error of a server that stops while a client waits (503). A request sent anew begins
    another turn.
    """
    return ApiError(
        503,
        f"The server is stopping; the turn goes on. GET /v1/responses/{response_id} gives its response.",
        code="server_stopping",
        headers={"X-Should-Retry": "false"},
    )


def store_away() -> ApiError:
    """Return the error of a request while Redis is away (503). Nothing was accepted, or the word of it was lost:
    then the next try finds the turn."""
    return ApiError(
        503,
        "The turn store (Redis) does not answer. Try again.",
        code="store_unavailable",
        headers={"Retry-After": "1"},
    )


def database_away() -> ApiError:
    """Return the error of a request that needs the SQL database while it is away (503)."""
    return ApiError(
        503,
        "The database does not answer. Try again.",
        code="store_unavailable",
        headers={"Retry-After": "1"},
    )


def store_away_meanwhile(response_id: str) -> ApiError:
    """Return the error for a client that waits for an accepted turn while Redis is away (503)."""
    return ApiError(
        503,
        "The turn store (Redis) does not answer; the turn goes on when it does. Its response is that of "
        f"GET /v1/responses/{response_id}, or of the same request with the same Idempotency-Key.",
        code="store_unavailable",
        headers={"Retry-After": "1"},
    )


def server_busy() -> ApiError:
    """Return that a request waited in vain for a connection to Redis, or a thread that checks schemas: too many
    others are under way (503). Nothing was accepted."""
    return ApiError(
        503,
        "The server has too many requests under way. Try again.",
        code="server_busy",
        headers={"Retry-After": "1"},
    )
