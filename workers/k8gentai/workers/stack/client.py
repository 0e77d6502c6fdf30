"""Asks the stack on behalf of a turn, as a client of its own that vouches for it: for the turn of another agent,
and for what the stack itself does for turns."""

import asyncio
from functools import partial
from typing import Any

import httpx
import structlog
from redis.asyncio import Redis

from k8gentai.agents.contract.turn import ToolFailedError
from k8gentai.workers.queue.connection import until_back
from k8gentai.workers.queue.grants import PARENT_HEADER, Parent, signed, signing_key

_CONNECT_SECONDS = 5.0
_SILENCE_SECONDS = 60.0
"""How long a request waits for its answer before it is sent again, which leads to the same turn."""
_KNOCK_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 10.0
_AGAIN = frozenset({429, 502, 503, 504})

log = structlog.get_logger(__name__)


class StackRefusedError(ToolFailedError):
    """The stack refused a request.

    Args:
        message: the stack's own.
        code: that of the error; empty where it has none.
    """

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class StackClient:
    """The stack's API, for the turns of one worker.

    Args:
        stack_url: e.g. ``http://127.0.0.1:8321``.
        api_key: the credential the stack asks for, if any.
        redis: where the key for signing is.
    """

    def __init__(self, stack_url: str, api_key: str | None, redis: Redis) -> None:
        self._redis = redis
        self._client = httpx.AsyncClient(
            base_url=stack_url,
            headers={"authorization": f"Bearer {api_key}"} if api_key else {},
            timeout=httpx.Timeout(_SILENCE_SECONDS, connect=_CONNECT_SECONDS),
            limits=httpx.Limits(max_connections=None),
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    async def respond(
        self, body: dict[str, Any], key: str, parent: Parent, trace: dict[str, str]
    ) -> dict[str, Any]:
        """Return the response to a request, when its turn has ended.

        Args:
            body: of ``POST /v1/responses``.
            key: the request's idempotency key, which leads to one turn however often it is sent.
            parent: on whose behalf.
            trace: the trace context it continues, as HTTP headers.

        Raises:
            StackRefusedError: it did; the message is its own.
        """
        return await self.post("/v1/responses", body, parent, {**trace, "idempotency-key": key})

    async def post(
        self, path: str, body: dict[str, Any], parent: Parent, headers: dict[str, str]
    ) -> dict[str, Any]:
        """Return the answer to a request that may be sent more than once.

        Whatever happens to the stack's server, it is sent until there is an answer. To be called under a time
        limit.

        Args:
            path: of the stack's API.
            body: its JSON.
            parent: on whose behalf.
            headers: of HTTP.

        Raises:
            StackRefusedError: it did; the message is its own.
        """
        headers = {**headers, PARENT_HEADER: signed(parent, await until_back(partial(signing_key, self._redis)))}
        while True:
            pause = _KNOCK_SECONDS
            try:
                answer = await self._client.post(path, json=body, headers=headers)
                if answer.is_success:
                    response: dict[str, Any] = answer.json()
                    return response
                pause = _pause(answer)
            except httpx.ReadTimeout:
                pause = 0.0
            except httpx.TransportError as error:
                log.warning("stack_away", turn=parent.turn_id, error=str(error), retry_in=pause)
            await asyncio.sleep(pause)


def _pause(answer: httpx.Response) -> float:
    """Return how long to wait before asking again.

    Raises:
        StackRefusedError: asking again would not help.
    """
    try:
        error: dict[str, Any] = answer.json()["error"]
    except (ValueError, KeyError, TypeError):
        error = {"message": f"the stack answered {answer.status_code}"}
    # A server that stops asks not to be asked again by those whose request would bring another turn.
    final = answer.headers.get("x-should-retry") == "false" and error.get("code") != "server_stopping"
    if answer.status_code not in _AGAIN or final:
        raise StackRefusedError(str(error.get("message")), str(error.get("code") or ""))
    header = answer.headers.get("retry-after", "")
    return min(float(header) if header.isdecimal() else _KNOCK_SECONDS, _LONGEST_PAUSE_SECONDS)
