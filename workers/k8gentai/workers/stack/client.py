"""The one way of a worker to the stack's server: model calls, turns of other agents, services for turns.

Connections, time-outs, credentials, and how long to wait before a request is sent again are here.
"""

import asyncio
import json
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

import httpx
import structlog

from k8gentai.agents.contract.turn import ToolFailedError
from k8gentai.agents.text.json_text import json_text, read_json
from k8gentai.workers.http.sent_errors import SentError
from k8gentai.workers.stack.credentials import Caller, Credentials

CONNECT_SECONDS = 5.0
SILENCE_SECONDS = 60.0
"""How long a request waits for its answer, where nothing else is said. Sent again, it leads to the same turn."""
KNOCK_SECONDS = 0.5
"""The pause before a stack that was away is asked again."""
_KEPT_CONNECTIONS = 100
"""How many connections that are not in use are kept open."""
_LONGEST_PAUSE_SECONDS = 10.0
_AGAIN = frozenset({429, 502, 503, 504})
_PASSING = frozenset({401, 408, 409, 425, 429})
"""Statuses of refusals that say nothing of the request itself: a wrong key is put right, a limit is over."""

Fault = Literal["away", "silent", "unsendable", "lost"]
"""What became of a request that has no answer: the stack could not be reached, it sent nothing for too long, the
request is none that HTTP knows, or the connection broke."""

log = structlog.get_logger(__name__)


class StackRefusedError(ToolFailedError):
    """The stack refused a request.

    Args:
        message: the stack's own.
        code: that of the error; empty where it has none.
        status: the HTTP status.
    """

    def __init__(self, message: str, code: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status

    @property
    def is_passing(self) -> bool:
        """Whether the same request may be granted another time."""
        return self.status in _PASSING or self.status >= 500


class StackClient:
    """The stack's API, for all turns of one worker.

    Args:
        stack_url: e.g. ``http://127.0.0.1:8321``.
        credentials: gives each request its headers; agents' code never sees them.
        transport: what carries requests, in place of the network.
    """

    def __init__(
        self, stack_url: str, credentials: Credentials, *, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._credentials = credentials
        self._http = httpx.AsyncClient(
            base_url=stack_url,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=_KEPT_CONNECTIONS),
            transport=transport,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def send(
        self,
        method: str,
        path: str,
        caller: Caller | None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        silence_seconds: float = SILENCE_SECONDS,
    ) -> httpx.Response:
        """Send a request once, and return its answer, whatever its status. Its content is unread; whoever asks
        closes it.

        Args:
            method: of HTTP.
            path: of the stack's API.
            caller: the attempt that the request is made for; None for one of the worker's own.
            body: its JSON.
            headers: further ones.
            silence_seconds: how long the stack may send nothing.

        Raises:
            httpx.TransportError: there is no answer; see :func:`fault_of`.
        """
        sent = {**(headers or {}), **(caller.trace if caller else {}), **await self._credentials.headers(caller)}
        content = None
        if body is not None:
            sent["content-type"] = "application/json"
            content = json_text(body)
        request = self._http.build_request(
            method,
            path,
            content=content,
            headers=sent,
            timeout=_timeout(silence_seconds),
        )
        return await self._http.send(request, stream=True)

    async def get(self, path: str) -> Any:
        """Return the JSON of an answer to a request of the worker's own, which is sent once.

        Raises:
            httpx.HTTPError: there is none, or the stack refused it.
            ValueError: it is no JSON.
        """
        answer = await self.send("GET", path, None)
        try:
            answer.raise_for_status()
            return json.loads(await answer.aread())
        finally:
            await answer.aclose()

    async def respond(self, body: Mapping[str, Any], key: str, caller: Caller) -> dict[str, Any]:
        """Return the response to a request, when its turn has ended.

        Args:
            body: of ``POST /v1/responses``.
            key: the request's idempotency key, which leads to one turn however often it is sent.
            caller: the attempt that asks.

        Raises:
            StackRefusedError: the stack refused it; the message is its own.
        """
        return await self.post("/v1/responses", body, caller, {"idempotency-key": key})

    async def post(
        self, path: str, body: Mapping[str, Any], caller: Caller, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Return the answer to a request that may be sent more than once.

        Whatever happens to the stack's server, it is sent until there is an answer. To be called under a time
        limit.

        Args:
            path: of the stack's API.
            body: its JSON.
            caller: the attempt that the request is made for.
            headers: further ones.

        Raises:
            StackRefusedError: the stack refused it, and the message is its own; or what answers is no stack.
        """
        while True:
            try:
                answer = await self.send("POST", path, caller, body, headers)
                try:
                    content = await answer.aread()
                finally:
                    await answer.aclose()
                if answer.is_success:
                    return _read_answer(answer, content)
                pause = _pause(answer)
            except httpx.TransportError as error:
                fault = fault_of(error)
                if fault == "unsendable":
                    raise StackRefusedError(f"the request cannot be sent ({error})", "") from error
                # One whose answer did not come in time was under way all the while.
                pause = 0.0 if fault == "silent" else KNOCK_SECONDS
                if pause:
                    log.warning("stack_away", turn=caller.turn_id, error=str(error), retry_in=pause)
            await asyncio.sleep(pause)


@cache
def _timeout(silence_seconds: float) -> httpx.Timeout:
    """Return the time-outs of a request."""
    return httpx.Timeout(silence_seconds, connect=CONNECT_SECONDS)


def fault_of(error: httpx.TransportError) -> Fault:
    """Return what became of a request that has no answer."""
    match error:
        case httpx.ConnectError() | httpx.ConnectTimeout():
            return "away"
        case httpx.TimeoutException():
            return "silent"
        case httpx.LocalProtocolError() | httpx.UnsupportedProtocol():
            return "unsendable"
    return "lost"


def retry_after(answer: httpx.Response) -> float | None:
    """Return how many seconds an answer asks to wait; None where it does not."""
    header = answer.headers.get("retry-after", "")
    return float(header) if header.isdecimal() else None


def is_final(answer: httpx.Response) -> bool:
    """Return whether an answer asks not to be asked for again."""
    return bool(answer.headers.get("x-should-retry") == "false")


def _pause(answer: httpx.Response) -> float:
    """Return how long to wait before asking again.

    Raises:
        StackRefusedError: asking again would not help.
    """
    error = _read_error(answer.content)
    # A server that stops asks not to be asked again by those whose request would bring another turn.
    final = is_final(answer) and error.code != "server_stopping"
    if answer.status_code not in _AGAIN or final:
        message = error.message or f"the stack answered {answer.status_code}"
        raise StackRefusedError(message, str(error.code or ""), answer.status_code)
    wait = retry_after(answer)
    return min(KNOCK_SECONDS if wait is None else wait, _LONGEST_PAUSE_SECONDS)


def _read_answer(answer: httpx.Response, content: bytes) -> dict[str, Any]:
    """Return the JSON of an answer that is none of a refusal.

    Raises:
        StackRefusedError: it is no JSON object: what answers is not the stack, or it is cut short.
    """
    try:
        read = read_json(content)
    except ValueError:
        read = None
    if isinstance(read, dict):
        return read
    kind = answer.headers.get("content-type", "no content-type")
    message = f"the stack at {answer.request.url} answered {answer.status_code} with no JSON object ({kind})"
    raise StackRefusedError(message, "", httpx.codes.BAD_GATEWAY)


def _read_error(content: bytes) -> SentError:
    """Return the error that an answer's JSON is; one without words where it is none."""
    try:
        sent = read_json(content)
    except ValueError:
        sent = None
    return SentError.of(sent) if isinstance(sent, dict) else SentError("")
