"""The parts that our routes share: errors in their API's shape, JSON bodies, and server-sent events."""

import asyncio
import json
import math
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, cast

import structlog
from fastapi import HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from sse_starlette import EventSourceResponse, ServerSentEvent

from k8gentai.agents.text.json_text import MAX_DEPTH, is_too_deep
from k8gentai.providers import host
from k8gentai.providers.errors import (
    ApiError,
    conversation_busy,
    database_away,
    invalid,
    response_not_found,
    server_busy,
    store_away,
)
from k8gentai.providers.host.access import acting_as, caller
from k8gentai.providers.host.storage import STORAGE_AWAY
from k8gentai.workers.http.bounded_reading import TooLargeError, whole
from k8gentai.workers.queue.admission import (
    AnsweredError,
    ConversationBusyError,
    IdempotencyConflictError,
    ParentEndedError,
    QueueFullError,
)
from k8gentai.workers.queue.connection import AWAY, NoConnectionFreeError
from k8gentai.workers.queue.turns import TurnNotFoundError

log = structlog.get_logger(__name__)

_PING = b": ping\r\n"
"""Keeps an idle stream's connection alive. It goes without the usual blank line: where events have ids, the
openai SDK takes that line for an event without data, and raises."""

MAX_BODY_BYTES = 20_000_000
"""The bytes that a request's body may have where the run YAML says nothing else."""

BODY_SECONDS = 120.0
"""The seconds that a request's body may take to come: a client that sends it byte by byte holds a connection."""

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def api_error(error: Exception) -> ApiError:
    """Return what a client is told about an exception."""
    match error:
        case ApiError():
            return error
        case RequestValidationError():
            first = error.errors()[0]
            param = str(first["loc"][-1]) if first.get("loc") else None
            return invalid(f"'{param}': {first['msg']}.", param)
        case HTTPException():
            return ApiError(error.status_code, str(error.detail), headers=dict(error.headers or {}))
        case TurnNotFoundError():
            return response_not_found(str(error))
        case QueueFullError():
            wait = str(error.retry_after)
            return ApiError(429, str(error), code="queue_full", headers={"Retry-After": wait})
        case ConversationBusyError():
            return conversation_busy(error.turn_id)
        case AnsweredError():
            by = (
                f"was answered by response '{error.by}', which asks what is still open, if anything is"
                if error.by
                else "is not waiting for an answer"
            )
            # The SDKs try again what is answered by 409.
            headers = {"X-Should-Retry": "false"}
            return ApiError(409, f"This response {by}.", code="approval_answered", headers=headers)
        case ParentEndedError():
            return ApiError(409, "The turn that asks for this one has ended.", code="parent_ended")
        case IdempotencyConflictError():
            message = "This Idempotency-Key came before with another request."
            return ApiError(422, message, code="idempotency_key_reused", param="Idempotency-Key")
        case host.AccessDeniedError():
            return ApiError(403, "You may not do this.", code="access_denied")
        case host.ConversationNotFoundError():
            return ApiError(404, str(error), code="conversation_not_found", param="conversation_id")
        case host.InvalidParameterError():
            return invalid(str(error), host.parameter_at_fault(str(error)))
        case host.HostError():
            return ApiError(int(error.status_code), str(error))
        case NoConnectionFreeError():
            return server_busy()
        case _ if isinstance(error, AWAY):
            return store_away()
        case _ if isinstance(error, STORAGE_AWAY):
            # Redis is spoken of by whoever asks it; of the database, nobody else says why.
            log.warning("store_away", error=str(error) or repr(error))
            return database_away()
        case _:
            log.exception("unexpected_error", exc_info=error)
            return ApiError(500, "Something went wrong in the server; its log says what.", code="internal_error")


class AnsweringRoute(APIRoute):
    """Answers every error in its API's shape, and lets only a real user act."""

    @staticmethod
    def error_body(error: ApiError) -> dict[str, Any]:
        """Return the JSON that tells of an error; the OpenAI API's, where a subclass says nothing else."""
        return error.body()

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                with acting_as(caller()):
                    return await handle(request)
            except Exception as error:  # noqa: BLE001 - every error has an answer
                told = api_error(error)
                return JSONResponse(self.error_body(told), told.status_code, told.headers)

        return handler


async def json_body(request: Request, max_bytes: int) -> Any:
    """Return the request's body.

    Args:
        max_bytes: the bytes that it may have.

    Raises:
        ApiError: it is too large (413), took too long (408), or is no JSON that can be kept (400): nested too
            deeply, with a number that JSON has not, or with half of a surrogate pair.
    """
    raw = await _raw_body(request, max_bytes)
    try:
        body = json.loads(raw, parse_constant=_no_number, parse_float=_finite)
        if rb"\u" in raw:
            json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise invalid("The body has a character that Unicode does not: half of a surrogate pair.") from None
    except ValueError:
        raise invalid("The body is not valid JSON.") from None
    except RecursionError:
        raise _too_deep() from None
    if is_too_deep(body):
        raise _too_deep()
    return body


async def _raw_body(request: Request, max_bytes: int) -> bytes:
    """Return the body's bytes, of which no more than ``max_bytes`` are ever held."""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await whole(request.stream(), max_bytes)
    except TooLargeError:
        message = f"The body is larger than the {max_bytes} bytes this server takes (max_body_bytes)."
        raise ApiError(413, message, code="request_too_large") from None
    except TimeoutError:
        message = f"The body did not come within {BODY_SECONDS:g} s."
        # What may still come of it is no next request.
        raise ApiError(408, message, code="request_timeout", headers={"Connection": "close"}) from None


def _too_deep() -> ApiError:
    return invalid(f"The body is nested too deeply: {MAX_DEPTH} objects and lists are the most.")


def _finite(text: str) -> float:
    """Refuse what Python reads as infinite (``1e999``), and so cannot write as JSON."""
    if not math.isfinite(number := float(text)):
        raise ValueError(text)
    return number


def _no_number(name: str) -> None:
    """Refuse ``NaN`` and ``Infinity``, which Python reads and JSON has not."""
    raise ValueError(name)


def event_stream(events: AsyncIterator[ServerSentEvent]) -> Response:
    """Return a response of server-sent events, kept alive while nothing happens."""
    return EventSourceResponse(
        events,
        headers={"X-Accel-Buffering": "no"},
        ping_message_factory=lambda: cast(ServerSentEvent, _PING),
    )
